"""Request frames that are almost right: valid ones of every API and version, then one or a few things wrong in them.

Pure: all randomness comes from the `Random` that is given.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from moldau.core.protocol.compile_encoder import CannotEncode
from moldau.core.protocol.registry import APIS, Api
from moldau.core.protocol.schema import schema_of
from tests.support import batches
from tests.support.messages import arbitrary
from tests.support.wire import frame

# What a length or a count is most likely to be mistaken for.
LIES_32 = (-(1 << 31), -2, -1, 0, 1, 0x7F, 0xFFFF, 100 << 20, (1 << 31) - 1)
LIES_VARINT = (
    b"\x00",
    b"\x80",
    b"\x80\x80\x80\x80\x00",
    b"\xff\xff\xff\xff\x07",
    b"\xff\xff\xff\xff\x0f",
    b"\xff" * 10 + b"\x01",
)


@dataclass(frozen=True, slots=True)
class World:
    """What exists on the broker, so that a request gets past the first check."""

    topic: str
    topic_id: bytes
    group: str = "fuzzed"


def frames(world: World, random: Random) -> Iterator[bytes]:
    """Endless bytes to send on a connection of their own: sizes included, right or wrong."""
    apis = list(APIS.values())
    while True:
        api = random.choice(apis)
        data = sized(valid(api, random.randint(api.min_version, api.max_version), world, random))
        for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
            data = random.choice(MUTATIONS)(data, random)
        if random.random() < 0.1:
            data += sized(valid(api, api.max_version, world, random))
        yield data


def valid(api: Api, version: int, world: World, random: Random) -> bytes:
    """A frame without its size that the broker must accept."""
    while True:
        request = arbitrary(api.request, version, random)
        plausible(request, world, random)
        try:
            return frame(request, version, random.getrandbits(31), random.choice(("fuzz", "", "\u00e9" * 20)))
        except (CannotEncode, ValueError, struct.error):
            continue  # a combination that this version cannot carry


def plausible(made: Any, world: World, random: Random) -> None:
    """Point most names at things that exist, and keep waits short and topics few."""
    for field in schema_of(type(made)).fields:
        value = getattr(made, field.name)
        if field.name in SAFE:
            setattr(made, field.name, SAFE[field.name](random))
        elif field.type == "records" and random.random() < 0.9:
            setattr(made, field.name, batches.build([b"v" * random.randrange(200)] * random.randint(1, 4)))
        elif field.entity == "topicName" and isinstance(value, str) and random.random() < 0.8:
            setattr(made, field.name, world.topic)
        elif field.entity == "groupId" and isinstance(value, str) and random.random() < 0.8:
            setattr(made, field.name, world.group)
        elif field.name == "topic_id" and random.random() < 0.8:
            setattr(made, field.name, world.topic_id)
        elif isinstance(value, list):
            for item in value:
                if field.struct is not None or (field.item is not None and field.item.struct is not None):
                    plausible(item, world, random)


# Fields whose wild values would only cost time, or create things by the thousand.
SAFE: dict[str, Callable[[Random], Any]] = {
    "max_wait_ms": lambda random: random.choice((0, 10, 50)),
    "timeout_ms": lambda random: random.choice((0, 10, 1_000)),
    "acks": lambda random: random.choice((-1, 0, 1, 1, 5)),
    "validate_only": lambda _: True,
    "partition_index": lambda random: random.choice((0, 0, 1, -1, 7)),
    "partition": lambda random: random.choice((0, 0, 1, -1, 7)),
    "session_timeout_ms": lambda random: random.choice((6_000, 10_000)),
    "rebalance_timeout_ms": lambda random: random.choice((1_000, 10_000)),
}


def sized(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload


def resized(data: bytes) -> bytes:
    """The same bytes with a size that is true again."""
    return sized(data[4:])


def flip_bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, 8)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return resized(bytes(changed)) if random.random() < 0.8 else bytes(changed)


def lie_about_a_length(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    at = random.randrange(4, max(5, len(changed)))
    lie = struct.pack(">i", random.choice(LIES_32)) if random.random() < 0.5 else random.choice(LIES_VARINT)
    changed[at : at + len(lie)] = lie
    return resized(bytes(changed))


def cut(data: bytes, random: Random) -> bytes:
    shorter = data[: random.randrange(5, max(6, len(data)))]
    return resized(shorter) if random.random() < 0.7 else shorter


def insert(data: bytes, random: Random) -> bytes:
    at = random.randrange(4, max(5, len(data)))
    return resized(data[:at] + random.randbytes(random.choice((1, 2, 4, 16, 300))) + data[at:])


def remove(data: bytes, random: Random) -> bytes:
    at = random.randrange(4, max(5, len(data)))
    return resized(data[:at] + data[at + random.randint(1, 16) :])


def repeat(data: bytes, random: Random) -> bytes:
    at = random.randrange(4, max(5, len(data)))
    end = at + random.randint(1, 64)
    return resized(data[:end] + data[at:end] * random.choice((1, 2, 50)) + data[end:])


def lie_about_the_size(data: bytes, random: Random) -> bytes:
    return struct.pack(">i", random.choice(LIES_32)) + data[4:]


def another_header(data: bytes, random: Random) -> bytes:
    key, version = random.choice((0, 1, 18, 77, 500, -1, random.getrandbits(15))), random.randint(-1, 20)
    return data[:4] + struct.pack(">hh", key, version) + data[8:]


def noise(data: bytes, random: Random) -> bytes:
    return random.choice((random.randbytes(len(data)), sized(random.randbytes(len(data))), b"GET / HTTP/1.1\r\n\r\n"))


MUTATIONS: Sequence[Callable[[bytes, Random], bytes]] = (
    flip_bits,
    lie_about_a_length,
    lie_about_a_length,
    cut,
    insert,
    remove,
    repeat,
    lie_about_the_size,
    another_header,
    noise,
)
