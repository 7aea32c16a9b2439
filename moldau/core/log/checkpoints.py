"""The small text files of a log directory, in Kafka's formats: checkpoints, partition.metadata, meta.properties.

Lives here: text in, values out and back, and how such a file is replaced. When they are written is
`points.py`'s and `directory.py`'s business. Crash story: every file is replaced by a rename, so a reader
sees the old or the new one; a file that breaks its format raises `CorruptData`.

    0                      version                 version=1                  version: 0
    2                      number of lines         node.id=1                  topic_id: vD5z7rVwQPK4Hq3q9LJ6Bw
    orders 0 4711                                  cluster.id=...
    orders 1 4712                                  directory.id=...
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from moldau.core.base.errors import CorruptData
from moldau.core.base.files import Files
from moldau.core.base.ids import ZERO_UUID, uuid_from_text, uuid_text
from moldau.core.log.names import APART_SUFFIX, TEMPORARY_SUFFIX

Offsets = Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class MetaProperties:
    """Whose directory this is."""

    cluster_id: str
    node_id: int
    directory_id: bytes = ZERO_UUID


def encode_lines(lines: Iterable[str]) -> bytes:
    """A checkpoint file of Kafka's: version 0, the number of lines, the lines."""
    rows = list(lines)
    return "\n".join(["0", str(len(rows)), *rows, ""]).encode()


def decode_lines(content: bytes) -> list[list[str]]:
    """The lines of a checkpoint file, each as its words. Raises CorruptData."""
    try:
        rows = content.decode().splitlines()
        version, count = int(rows[0]), int(rows[1])
    except (UnicodeDecodeError, ValueError, IndexError) as error:
        raise CorruptData("a checkpoint file does not begin with a version and a number of lines") from error
    if version != 0:
        raise CorruptData(f"a checkpoint file has version {version}; only 0 is known")
    lines = [row.split(" ") for row in rows[2:] if row]
    if len(lines) != count:
        raise CorruptData(f"a checkpoint file promises {count} lines and has {len(lines)}")
    return lines


def encode_offsets(offsets: Offsets) -> bytes:
    """Offsets by topic and partition (recovery points, start offsets, high watermarks)."""
    return encode_lines(f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items())


def decode_offsets(content: bytes) -> dict[tuple[str, int], int]:
    """Raises CorruptData."""
    try:
        return {(topic, int(partition)): int(offset) for topic, partition, offset in decode_lines(content)}
    except ValueError as error:
        raise CorruptData("a line of an offset checkpoint is not: topic partition offset") from error


def encode_epochs(entries: Iterable[tuple[int, int]]) -> bytes:
    """leader-epoch-checkpoint: epoch and its first offset, a line each."""
    return encode_lines(f"{epoch} {start}" for epoch, start in entries)


def decode_epochs(content: bytes) -> list[tuple[int, int]]:
    """Raises CorruptData."""
    try:
        return [(int(epoch), int(start)) for epoch, start in decode_lines(content)]
    except ValueError as error:
        raise CorruptData("a line of a leader epoch checkpoint is not: epoch offset") from error


def encode_partition_metadata(topic_id: bytes) -> bytes:
    """partition.metadata: which topic, across deletion and re-creation under one name."""
    return f"version: 0\ntopic_id: {uuid_text(topic_id)}".encode()


def decode_partition_metadata(content: bytes) -> bytes:
    """The topic's id. Raises CorruptData."""
    values = _pairs(content, ":")
    try:
        if values["version"] != "0":
            raise CorruptData(f"partition.metadata has version {values['version']}; only 0 is known")
        return uuid_from_text(values["topic_id"])
    except (KeyError, ValueError) as error:
        raise CorruptData("partition.metadata does not hold a version and a topic id") from error


def encode_meta_properties(meta: MetaProperties) -> bytes:
    """meta.properties, version 1."""
    lines = ["#", f"cluster.id={meta.cluster_id}"]
    if meta.directory_id != ZERO_UUID:
        lines.append(f"directory.id={uuid_text(meta.directory_id)}")
    return "\n".join([*lines, f"node.id={meta.node_id}", "version=1", ""]).encode()


def decode_meta_properties(content: bytes) -> MetaProperties:
    """Raises CorruptData."""
    values = _pairs(content, "=")
    try:
        if values["version"] != "1":
            raise CorruptData(f"meta.properties has version {values['version']}; only 1 is known")
        directory_id = uuid_from_text(values["directory.id"]) if "directory.id" in values else ZERO_UUID
        return MetaProperties(values["cluster.id"], int(values["node.id"]), directory_id)
    except (KeyError, ValueError) as error:
        raise CorruptData("meta.properties does not hold version, cluster.id and node.id") from error


def encode_clean_shutdown(broker_epoch: int) -> bytes:
    """.kafka_cleanshutdown: its presence says that nothing has to be scanned."""
    return json.dumps({"version": 0, "brokerEpoch": broker_epoch}, separators=(",", ":")).encode()


def replace_unsynced(files: Files, path: str, content: bytes) -> None:
    """Replace `path` so that a reader sees the old or the new content; a power loss may undo it."""
    temporary = path + TEMPORARY_SUFFIX
    handle = files.open_write(temporary)
    try:
        files.truncate(handle, 0)
        files.pwrite(handle, content, 0)
    finally:
        files.close(handle)
    files.rename(temporary, path)


def replace_apart(files: Files, path: str, content: bytes) -> None:
    """As `Files.write_file`, under a temporary name of its own: another worker may be replacing `path` too."""
    temporary = path + APART_SUFFIX
    handle = files.open_write(temporary)
    try:
        files.truncate(handle, 0)
        files.pwrite(handle, content, 0)
        files.sync_data(handle)
    finally:
        files.close(handle)
    files.rename(temporary, path)
    files.sync_directory(path[: path.rindex("/")])


def _pairs(content: bytes, separator: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in content.decode(errors="replace").splitlines():
        key, found, value = line.partition(separator)
        if found and not key.startswith("#"):
            values[key.strip()] = value.strip().replace("\\=", "=")
    return values
