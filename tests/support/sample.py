"""A message with every kind of field, older and newer versions and all kinds of defaults: what codecs are tried on."""

from __future__ import annotations

from typing import Any

from moldau.core.protocol.schema import (
    array,
    boolean,
    float64,
    int8,
    int16,
    int32,
    int64,
    message,
    nested,
    octets,
    records,
    string,
    struct,
    uint16,
    uint32,
    uuid,
)


@struct(frozen=True)
class Point:
    x: int = int32()
    y: int = int32(default=7)


@struct
class Item:
    name: str = string()
    note: str | None = string("1+", nullable="1+", default=None)
    points: list[Point] = array(Point, "2+", tag=3)
    weight: float = float64("2+", tag=0, default=1.5)


@message("data", -1, "0-2", flexible="1+")
class Sample:
    """Every kind of field. Versions: 0 is classic, 1 flexible, 2 has tags."""

    flag: bool = boolean()
    tiny: int = int8()
    small: int = int16(default=-1)
    medium: int = int32()
    large: int = int64()
    port: int = uint16()
    crc: int = uint32()
    real: float = float64()
    id: bytes = uuid()
    name: str = string(default="none")
    nick: str | None = string(nullable="0+", default=None)
    blob: bytes = octets()
    maybe: bytes | None = octets(nullable="1+")
    batches: Any = records(nullable="0+")
    place: Point = nested(Point)
    other: Point | None = nested(Point, "1+", nullable="1+", default=None)
    numbers: list[int] = array(int32())
    texts: list[str] | None = array(string(), nullable="0+")
    flags: list[bool] = array(boolean())
    ids: list[bytes] = array(uuid())
    items: list[Item] = array(Item)
    added: int = int32("1+", default=5)
    dropped: int = int32("0-1", default=5, ignorable=True)
    late: Point = nested(Point, "2+", tag=0)
    later: str = string("2+", tag=1)
    latest: Point | None = nested(Point, "2+", nullable="2+", default=None, tag=2)


def full() -> Sample:
    """A sample of version 2 in which every field is away from its default."""
    point = Point(3, -4)
    return Sample(
        flag=True,
        tiny=-5,
        small=300,
        medium=-70_000,
        large=1 << 40,
        port=65_535,
        crc=0xFFFFFFFF,
        real=0.25,
        id=bytes(range(16)),
        name="n\u00e9",
        nick="nick",
        blob=b"blob",
        maybe=None,
        batches=b"batches",
        place=point,
        other=point,
        numbers=[1, -2, 3],
        texts=["a", ""],
        flags=[True, False],
        ids=[bytes(16), bytes(range(16))],
        items=[Item("i", "note", [point], 2.5), Item()],
        added=6,
        late=point,
        later="later",
        latest=point,
    )
