"""Makes the source of a decoder from a declaration, for one version.

The source is one flat function: neighbouring fixed-size fields, together with the first byte of the length behind
them, are read by one struct; nested structs and arrays are inlined; objects are built by position. It trusts nothing:
a count is checked against the bytes that are left (times the smallest size of an item) before its list is made, and
lengths need no check of their own. Slices clamp, every read past the buffer raises IndexError or struct.error, and a
position beyond `end` is refused last, before anything is handed out.

There are two decoders of a message. The careful one reads invalid UTF-8, and counts the items of all arrays of a
request; the fast one hands over to it at an invalid string, and where a request could have many items.

Messages without `records` are copied to `bytes` first: that is cheaper than reading fields through a memoryview.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from moldau.core.base.errors import CorruptData
from moldau.core.protocol import primitives
from moldau.core.protocol.primitives import MAX_ARRAY, MAX_ITEMS, MAX_TAGS, READY
from moldau.core.protocol.schema import Field, schema_of

Decoder = Callable[[Any, int, int], tuple[Any, int]]

# Two levels of arrays whose counts take one byte each cannot hold enough items for their number to matter; more levels
# can, in a frame of more bytes than this.
SHALLOW = 2
LARGE = 64 << 10

FIXED = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint16": "H",
    "uint32": "I",
    "float64": "d",
    "uuid": "16s",
}
_CLASSIC_PREFIX = {"string": "h", "bytes": "i", "records": "i", "array": "i"}

number_readers = cache(primitives.number_readers)
text_readers = cache(primitives.text_readers)
compact_text_readers = cache(primitives.compact_text_readers)


def smallest(fields: tuple[Field, ...], version: int, flexible: bool) -> int:
    """The least bytes that a struct of these fields takes at `version`."""
    size = 1 if flexible else 0
    for field in fields:
        if field.versions.covers(version) and not field.tagged.covers(version):
            size += _smallest_value(field, version, flexible)
    return size


def _smallest_value(field: Field, version: int, flexible: bool) -> int:
    if field.type in FIXED:
        return struct.calcsize(">" + FIXED[field.type])
    if field.struct is not None:
        if field.nullable.covers(version):
            return 1
        return smallest(schema_of(field.struct).fields, version, flexible)
    return 1 if flexible else struct.calcsize(">" + _CLASSIC_PREFIX[field.type])


def holds_records(cls: type[Any]) -> bool:
    """Whether a `records` field is anywhere inside."""
    for field in schema_of(cls).fields:
        inner = field.item or field
        if inner.type == "records" or (inner.struct is not None and holds_records(inner.struct)):
            return True
    return False


def array_depth(cls: type[Any]) -> int:
    """How many levels of arrays a message has."""
    deepest = 0
    for field in schema_of(cls).fields:
        inner = field.item or field
        below = array_depth(inner.struct) if inner.struct is not None else 0
        deepest = max(deepest, below + (field.item is not None))
    return deepest


class DecoderSource:
    """Collects the lines of one decoder. `pending` is the run of fixed-size reads not yet written out."""

    def __init__(self, cls: type[Any], version: int, careful: Decoder | None = None) -> None:
        """Of the fast decoder, which hands over to `careful`; without one, of the careful decoder itself."""
        schema = schema_of(cls)
        self.version = version
        self.flexible = schema.flexible.covers(version)
        self.names: dict[str, Any] = {
            "CorruptData": CorruptData,
            "StructError": struct.error,
            "uvarint": primitives.read_uvarint,
            "length_tail": primitives.length_tail,
            "array_tail": primitives.array_tail,
            "long_text": primitives.lenient_text if careful is None else primitives.long_text,
            "uvarint_tail": primitives.uvarint_tail,
            "skip_tags": primitives.skip_tags,
            "unpack_from": struct.unpack_from,
            "careful": careful,
        }
        self.lines: list[str] = []
        self.depth = 2
        self.pending: list[tuple[str, str]] = []
        self.counter = 0
        self.views = holds_records(cls)
        self.careful = careful is None
        self.counted = self.careful and schema.kind == "request"
        self.hands_over = not self.careful and schema.kind == "request"
        if self.views:
            self.again = "return careful(buf, start, end)"
        else:
            self.again = "return careful(source, start, stop)"
        self.title = f"{schema.name} v{version}"
        self.text = self._whole(cls)

    def make(self) -> Decoder:
        exec(compile(self.text, f"<decoder of {self.title}>", "exec"), self.names)
        decoder: Decoder = self.names["decode"]
        return decoder

    # --- the frame of the function

    def _whole(self, cls: type[Any]) -> str:
        made = self._struct(cls)
        if self.views:
            arguments, result = "buf, p, end", "p"
            head = ["    if type(buf) is not memoryview:", "        buf = memoryview(buf)", "    start = p"]
        else:
            arguments, result = "source, start, stop", "start + p"
            head = [
                "    buf = source[start:stop]",
                "    if type(buf) is not bytes:",
                "        buf = bytes(buf) if type(buf) is bytearray else buf.tobytes()",
                "    p = 0",
                "    end = len(buf)",
            ]
        if self.counted:
            head.append(f"    left = {MAX_ITEMS}")
        if self.hands_over and array_depth(cls) > SHALLOW:
            head += [f"    if end - p > {LARGE}:", f"        {self.again}"]
        return "\n".join(
            [
                f"def decode({arguments}):",
                *head,
                "    try:",
                *self.lines,
                f"        made = {made}",
                "    except (IndexError, StructError):",
                f'        raise CorruptData("{self.title} ends early") from None',
                *([] if self.careful else ["    except UnicodeDecodeError:", f"        {self.again}"]),
                "    if p > end:",
                f'        raise CorruptData("{self.title} is longer than its frame")',
                f"    return made, {result}",
                "",
            ]
        )

    def _write(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def _local(self, stem: str) -> str:
        self.counter += 1
        return f"{stem}{self.counter}"

    def _constant(self, value: Any, stem: str) -> str:
        name = self._local(stem)
        self.names[name] = value
        return name

    # --- fixed-size runs

    def _fixed(self, code: str, target: str) -> None:
        self.pending.append((code, target))

    def _flush(self, held: int = 0) -> None:
        """Writes the pending reads; `p` stays at the last `held` bytes of them."""
        if not self.pending:
            return
        codes = "".join(code for code, _ in self.pending)
        targets = [target for _, target in self.pending]
        self.pending = []
        if codes == "B":
            self._write(f"{targets[0]} = buf[p]")
            if not held:
                self._write("p += 1")
        elif codes == "?":
            self._write(f"{targets[0]} = buf[p] != 0")
            self._write("p += 1")
        else:
            name = "read_" + codes.replace("?", "o")
            layout = struct.Struct(">" + codes)
            self.names[name] = layout.unpack_from
            self._write(f"{', '.join(targets)}{',' if len(targets) == 1 else ''} = {name}(buf, p)")
            self._write(f"p += {layout.size - held}")

    # --- structs

    def _struct(self, cls: type[Any]) -> str:
        """Writes the reads of one struct; gives the expression that builds it."""
        schema = schema_of(cls)
        self.names[cls.__name__] = cls
        arguments: list[str] = []
        last = 0  # the arguments up to the last one that is not a declared default
        tagged: list[tuple[Field, str]] = []
        for field in schema.fields:
            if not field.versions.covers(self.version):
                arguments.append(self._default(field))
                continue
            target = self._local("v")
            arguments.append(target)
            last = len(arguments)
            if field.tagged.covers(self.version):
                tagged.append((field, target))
            else:
                self._value(field, target)
        if self.flexible:
            self._tags(schema.name, tagged)
        self._flush()
        return f"{cls.__name__}({', '.join(arguments[:last])})"

    def _default(self, field: Field) -> str:
        if field.has_new_default():
            return "[]"
        if field.default is None or isinstance(field.default, (int, str)):
            return repr(field.default)
        return self._constant(field.default, "default")

    def _tags(self, name: str, tagged: list[tuple[Field, str]]) -> None:
        for field, target in tagged:
            self._write(f"{target} = {self._default(field)}")
        count = self._local("t")
        self._fixed("B", count)
        self._flush()
        self._write(f"if {count}:")
        self.depth += 1
        if not tagged:
            self._write(f"p = skip_tags(buf, p, {count}, end)")
        else:
            self._known_tags(name, count, tagged)
        self.depth -= 1

    def _known_tags(self, name: str, count: str, tagged: list[tuple[Field, str]]) -> None:
        tag, size, stop = self._local("tag"), self._local("size"), self._local("stop")
        self._write(f"if {count} > 127:")
        self._write(f"    {count}, p = uvarint_tail(buf, p, {count})")
        self._write(f"    if {count} > {MAX_TAGS}:")
        self._write(f'        raise CorruptData("{name} has too many tagged fields")')
        self._write(f"for _ in range({count}):")
        self.depth += 1
        self._write(f"{tag}, p = uvarint(buf, p)")
        self._write(f"{size}, p = uvarint(buf, p)")
        self._write(f"{stop} = p + {size}")
        self._write(f"if {stop} > end:")
        self._write(f'    raise CorruptData("a tagged field of {name} is longer than what holds it")')
        for index, (field, target) in enumerate(tagged):
            self._write(f"{'elif' if index else 'if'} {tag} == {field.tag}:")
            self.depth += 1
            self._value(field, target)
            self._flush()
            self._write(f"if p != {stop}:")
            self._write(f'    raise CorruptData("{name}.{field.name} has another size than its tag says")')
            self.depth -= 1
        self._write("else:")
        self._write(f"    p = {stop}")
        self.depth -= 1

    # --- values

    def _value(self, field: Field, target: str) -> None:
        """Writes what puts one value into the local `target`; fixed-size values stay pending."""
        nullable = field.nullable.covers(self.version)
        if field.type in FIXED:
            self._fixed(FIXED[field.type], target)
        elif field.type == "struct":
            self._nested(field, target, nullable)
        else:
            self._sized(field, target, nullable)

    def _nested(self, field: Field, target: str, nullable: bool) -> None:
        assert field.struct is not None
        if not nullable:
            self._write(f"{target} = {self._struct(field.struct)}")
            return
        present = self._local("n")
        self._fixed("b", present)
        self._flush()
        self._write(f"{target} = None")
        self._write(f"if {present} >= 0:")
        self.depth += 1
        self._write(f"{target} = {self._struct(field.struct)}")
        self.depth -= 1

    def _sized(self, field: Field, target: str, nullable: bool) -> None:
        """A value behind a length: compact lengths are one more than the length, 0 is null; classic ones are -1."""
        length = self._local("n")
        if not self.flexible:
            self._fixed(_CLASSIC_PREFIX[field.type], length)
            self._flush()
            self._write(f"if {length} >= 0:")
        elif field.type == "string":
            self._compact_text(field, target, length, nullable)
            return
        else:
            self._fixed("B", length)
            self._flush()
            self._long_length(field, length)
            self._write(f"if {length}:")
        self.depth += 1
        if field.type == "array":
            self._array(field, target, length)
        else:
            self._octets(field, target, f"{length} - 1" if self.flexible else length)
        self.depth -= 1
        self._write("else:")
        self.depth += 1
        self._null(field, target, nullable)
        self.depth -= 1

    def _refuse(self, condition: str, why: str) -> None:
        self._write(f"if {condition}:")
        self._write(f'    raise CorruptData("{self.title}: {why}")')

    def _null(self, field: Field, target: str, nullable: bool) -> None:
        if nullable:
            self._write(f"{target} = None")
        else:
            self._write(f'raise CorruptData("{self.title}: {field.name} is null")')

    def _long_length(self, field: Field, length: str) -> None:
        self._write(f"if {length} > 127:")
        if field.type == "array":
            self._write(f"    {self.again if self.hands_over else f'{length}, p = array_tail(buf, p, {length})'}")
            return
        # Two bytes are usual here, and a call costs more than all else of a small batch.
        second = self._local("n")
        self._write(f"    {second} = buf[p]")
        self._write(f"    if {second} < 128:")
        self._write(f"        {length} = {length} & 127 | {second} << 7")
        self._write("        p += 1")
        self._write("    else:")
        self._write(f"        {length}, p = length_tail(buf, p, {length})")

    def _compact_text(self, field: Field, target: str, length: str, nullable: bool) -> None:
        """Short strings are read with their length byte passed over; all others by a call."""
        self._fixed("B", length)
        self._flush(held=1)
        if self.views:
            # A struct copies out of a memoryview faster than a slice of it is made.
            self.names["read_compact_text"] = compact_text_readers()
            short, text = READY, f"read_compact_text[{length}](buf, p)[0].decode()"
        else:
            short, text = 128, f"buf[p + 1:p + {length}].decode()"
        if self.careful:
            self._write(f"if {length}:")
        else:
            self._write(f"if 0 < {length} < {short}:")
            self._write(f"    {target} = {text}")
            self._write(f"    p += {length}")
            self._write(f"elif {length}:")
        self._write(f"    {target}, p = long_text(buf, p, {length})")
        if not nullable:
            self._write(f"    if {target} is None:")
            self.depth += 2
            self._null(field, target, nullable)
            self.depth -= 2
        self._write("else:")
        self.depth += 1
        self._null(field, target, nullable)
        self._write("p += 1")
        self.depth -= 1

    def _octets(self, field: Field, target: str, length: str) -> None:
        stop = self._local("stop")
        self._write(f"{stop} = p + {length}")
        if field.type == "string":
            manner = ', "replace"' if self.careful else ""
            self._write(f'{target} = str(buf[p:{stop}], "utf-8"{manner})')
        elif field.type == "bytes" and self.views:
            self._write(f"if {stop} > end:")
            self._write(f'    raise CorruptData("{self.title}: {field.name} is longer than its frame")')
            self._write(f"{target} = bytes(buf[p:{stop}])")
        else:
            self._write(f"{target} = buf[p:{stop}]")
        self._write(f"p = {stop}")

    def _array(self, field: Field, target: str, count: str) -> None:
        """Items as many as `count` says (compact: one less), if there are bytes for them."""
        item = field.item
        assert item is not None
        least = _smallest_value(item, self.version, self.flexible)
        need = count if least == 1 else f"{count} * {least}"
        if not self.flexible:
            self._refuse(f"{need} > end - p or {count} > {MAX_ARRAY}", f"{field.name} has more items than bytes")
            if self.hands_over:
                self._write(f"if {count} > 127:")
                self._write(f"    {self.again}")
        elif self.views or not self.hands_over:
            # Where the buffer ends with the frame, a count of one byte does no harm: reading past the end is an error.
            self._refuse(f"{need} > end - p + {least}", f"{field.name} has more items than bytes")
        if self.counted:
            self._write(f"left -= {count}")
            self._refuse("left < 0", "too many items in all")
        if item.type in FIXED and item.type not in ("bool", "uuid"):
            if self.flexible:
                self._write(f"{count} -= 1")
            self._numbers(FIXED[item.type], target, count)
            return
        self._write(f"{target} = []")
        # Cheaper than a range for the few items that are usual.
        self._write(f"while {count} > 1:" if self.flexible else f"while {count}:")
        self.depth += 1
        self._write(f"{count} -= 1")
        if item.struct is not None:
            made = self._struct(item.struct)
        else:
            made = self._local("v")
            self._value(item, made)
            self._flush()
        self._write(f"{target}.append({made})")
        self.depth -= 1

    def _numbers(self, code: str, target: str, count: str) -> None:
        self.names[f"read_some_{code}"] = number_readers(code)
        self._write(f"if {count} < {READY}:")
        self._write(f"    {target} = list(read_some_{code}[{count}](buf, p))")
        self._write("else:")
        self._write(f'    {target} = list(unpack_from(">%d{code}" % {count}, buf, p))')
        self._write(f"p += {count} * {struct.calcsize('>' + code)}")
