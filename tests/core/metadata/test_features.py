"""Features: what a cluster starts with, and which formats are carried on."""

from __future__ import annotations

from moldau.core.metadata import features
from moldau.core.protocol.stored.metadata import FeatureLevelRecord
from tests.support.images import EMPTY, replayed


def test_a_new_cluster_gets_the_format_and_nothing_else() -> None:
    image = replayed(EMPTY, features.decide_bootstrap(EMPTY).records)
    assert image.features == {"metadata.version": 30}
    assert features.decide_bootstrap(image).records == []
    assert features.format_problem(image) is None


def test_other_formats_are_refused() -> None:
    older = replayed(EMPTY, [FeatureLevelRecord(name="metadata.version", feature_level=25)])
    newer = replayed(EMPTY, [FeatureLevelRecord(name="metadata.version", feature_level=33)])
    assert "upgrade it" in (features.format_problem(older) or "")
    assert "newer release" in (features.format_problem(newer) or "")


def test_level_zero_removes_a_feature() -> None:
    image = replayed(EMPTY, [FeatureLevelRecord(name="group.version", feature_level=1)])
    assert image.features == {"group.version": 1}
    assert replayed(image, [FeatureLevelRecord(name="group.version", feature_level=0)]).features == {}


def test_a_dump_begins_with_the_format() -> None:
    image = replayed(EMPTY, [FeatureLevelRecord(name=name, feature_level=1) for name in ("a", "metadata.version")])
    assert [record.name for record in features.dump(image)] == ["metadata.version", "a"]
