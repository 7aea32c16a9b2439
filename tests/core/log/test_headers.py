"""Hopping over batches: where a scan ends, and why."""

from __future__ import annotations

import pytest

from moldau.core.log import headers
from moldau.core.log.headers import BatchScan
from tests.support.log_batches import make_batch, with_crc
from tests.support.memory_files import MemoryFiles


def batch_at(offset: int, values: list[bytes] | None = None, **options: int) -> bytes:
    return make_batch(values or [b"v"], base_offset=offset, **options)


def scan(content: bytes, *, start: int = 0, check: bool = True, next_offset: int = 0) -> tuple[BatchScan, list[int]]:
    files = MemoryFiles()
    files.write_file("/log", content)
    found = BatchScan(files, files.open_read("/log"), start, len(content), check=check, next_offset=next_offset)
    return found, [header[0] for _, _, header in found]


def test_whole_batches() -> None:
    content = batch_at(0, [b"a", b"b"]) + batch_at(2) + batch_at(9)
    result, offsets = scan(content)
    assert offsets == [0, 2, 9]
    assert result.problem is None
    assert result.position == len(content)
    assert result.next_offset == 10


def test_an_empty_range() -> None:
    result, offsets = scan(b"")
    assert offsets == []
    assert (result.position, result.next_offset, result.problem) == (0, 0, None)


@pytest.mark.parametrize("check", [True, False])
def test_batches_larger_than_what_is_read_at_once(check: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "SCAN_CHUNK", 100)
    monkeypatch.setattr(headers, "HOP_CHUNK", 100)
    content = b"".join(batch_at(n, [b"x" * (37 * n % 300)]) for n in range(40))
    result, offsets = scan(content, check=check)
    assert offsets == list(range(40))
    assert result.problem is None


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        (batch_at(1)[:30], "within a batch's header"),
        (batch_at(1)[:-1], "within a batch"),
        (bytes(100), "not the header"),
        (b"\xff" * 100, "not the header"),
        (batch_at(1, magic=1), "not the header"),
        (batch_at(1, delta=-1), "not the header"),
        (batch_at(1)[:-1] + b"\xee", "checksum"),
        (batch_at(0), "stands behind"),
    ],
)
def test_a_scan_ends_at_what_is_not_whole(tail: bytes, problem: str) -> None:
    whole = batch_at(0)
    result, offsets = scan(whole + tail)
    assert offsets == [0]
    assert result.position == len(whole)
    assert result.next_offset == 1
    assert result.problem is not None
    assert problem in result.problem


def test_without_the_check_only_headers_count() -> None:
    broken = batch_at(0)[:-1] + b"\xee"
    assert scan(broken + batch_at(1), check=False)[1] == [0, 1]


def test_offsets_below_what_is_expected() -> None:
    assert scan(batch_at(5), next_offset=6)[0].problem is not None
    assert scan(batch_at(6), next_offset=6)[0].problem is None


def test_a_length_beyond_the_file_is_not_read() -> None:
    lying = bytearray(batch_at(0))
    lying[8:12] = (0x7FFF_FFFF).to_bytes(4, "big")
    assert scan(with_crc(bytes(lying)))[0].problem == "the file ends within a batch"
