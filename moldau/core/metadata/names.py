"""Which names a topic may have, and which names are too alike. Pure."""

from __future__ import annotations

import re
from typing import Final

CONSUMER_OFFSETS: Final = "__consumer_offsets"
TRANSACTION_STATE: Final = "__transaction_state"
SHARE_STATE: Final = "__share_group_state"
CLUSTER_METADATA: Final = "__cluster_metadata"

INTERNAL_TOPICS: Final = frozenset((CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_STATE))

NAME_MAX = 249
_LEGAL = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)


def topic_name_problem(name: str) -> str | None:
    """What is wrong with a topic's name, in Kafka's words; None for a good one."""
    if not name:
        return "Topic name is invalid: the empty string is not allowed"
    if name in (".", ".."):
        return f"Topic name is invalid: '{name}' is not allowed"
    if len(name) > NAME_MAX:
        return f"Topic name is invalid: the length of '{name}' is longer than the max allowed length {NAME_MAX}"
    if _LEGAL.fullmatch(name) is None:
        return (
            f"Topic name is invalid: '{name}' contains one or more characters other than "
            "ASCII alphanumerics, '.', '_' and '-'"
        )
    return None


def similar_form(name: str) -> str | None:
    """What two names share that are too alike: metrics write '.' as '_', so 'a.b' and 'a_b' would mix.

    None for a name with neither letter: nothing can be too much like it.
    """
    if "." not in name and "_" not in name:
        return None
    return name.replace(".", "_")
