"""Finalized features: what the cluster's format is. Decides what a new cluster starts with, and replays. Pure.

Only what is served is finalized; so far that is the format of the metadata itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from moldau.core.metadata.decision import Decision
from moldau.core.metadata.draft import ImageDraft
from moldau.core.metadata.image import ClusterImage, FeatureRange
from moldau.core.protocol.stored.metadata import FeatureLevelRecord

METADATA_VERSION = "metadata.version"
KRAFT_VERSION = "kraft.version"

# 4.3-IV0, the format every record is written in.
METADATA_LEVEL = 30

SUPPORTED = {
    METADATA_VERSION: FeatureRange(METADATA_LEVEL, METADATA_LEVEL),
    KRAFT_VERSION: FeatureRange(0, 1),
}


def decide_bootstrap(image: ClusterImage) -> Decision[None]:
    """The levels that a cluster without any starts with; nothing for one that has them."""
    if METADATA_VERSION in image.features:
        return Decision([], None)
    return Decision([FeatureLevelRecord(name=METADATA_VERSION, feature_level=METADATA_LEVEL)], None)


def format_problem(image: ClusterImage) -> str | None:
    """Why this release cannot carry on a cluster's metadata; None if it can."""
    level = image.features.get(METADATA_VERSION, METADATA_LEVEL)
    if level == METADATA_LEVEL:
        return None
    hint = "upgrade it with Apache Kafka's feature tool first" if level < METADATA_LEVEL else "it needs a newer release"
    return f"the cluster's metadata.version is {level}; this release reads and writes {METADATA_LEVEL}: {hint}"


def _replay(draft: ImageDraft, record: FeatureLevelRecord) -> None:
    if record.feature_level == 0:
        draft.features.discard(record.name)
    else:
        draft.features[record.name] = record.feature_level


REPLAY: dict[type, Callable[[ImageDraft, Any], None]] = {FeatureLevelRecord: _replay}


def dump(image: ClusterImage) -> Iterator[FeatureLevelRecord]:
    """Records that make the image's features again; the metadata's own level first, as readers need it first."""
    for name in sorted(image.features, key=lambda name: (name != METADATA_VERSION, name)):
        yield FeatureLevelRecord(name=name, feature_level=image.features[name])
