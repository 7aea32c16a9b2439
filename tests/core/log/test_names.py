"""Names of files and directories."""

from __future__ import annotations

import pytest

from moldau.core.log import names


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("orders-0", ("orders", 0)),
        ("a.b_c-d-12", ("a.b_c-d", 12)),
        ("__cluster_metadata-0", ("__cluster_metadata", 0)),
        ("orders", None),
        ("orders-", None),
        ("-1", None),
        ("orders-x", None),
        ("orders-0-stray", None),
        ("orders-0.0123456789abcdef0123456789abcdef-delete", None),
        ("or/ders-0", None),
    ],
)
def test_partition_directories(name: str, found: tuple[str, int] | None) -> None:
    assert names.parse_partition_directory(name) == found


def test_a_partition_directory_is_found_again() -> None:
    assert names.parse_partition_directory(names.partition_directory("a-1", 7)) == ("a-1", 7)


def test_deleted_directories_are_told_apart_and_fit() -> None:
    name = names.deleted_directory("t" * 249, 3, bytes(16))
    assert len(name) == names.NAME_MAX
    assert names.is_deleted_directory(name)
    assert names.is_deleted_directory(names.deleted_directory("orders", 0, bytes(range(16))))
    assert not names.is_deleted_directory("orders-0")
    assert not names.is_deleted_directory("orders-delete")


def test_segment_files() -> None:
    assert names.segment_file(42, names.LOG_SUFFIX) == "00000000000000000042.log"
    assert names.parse_segment_file("00000000000000000042.timeindex") == (42, ".timeindex")
    assert names.parse_segment_file("42.log") is None
    assert names.parse_segment_file("00000000000000000042.log.deleted") is None
    assert names.parse_segment_file("leader-epoch-checkpoint") is None
