"""Makes the source of an encoder from a declaration, for one version.

The source is one flat function that collects pieces and joins them once. Neighbouring fixed-size fields are written by
one struct, together with the length behind them when it fits one byte (nearly always); short strings come encoded from
a cache. A field that the version does
not have is dropped if it is ignorable or at its default, else the encoder raises CannotEncode. Tagged fields are
written in the order of their tags, and only if they differ from their default.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from moldau.core.base.errors import InvariantBroken
from moldau.core.protocol import primitives
from moldau.core.protocol.compile_decoder import FIXED
from moldau.core.protocol.primitives import READY
from moldau.core.protocol.schema import Field, schema_of

Encoder = Callable[[Any], Any]

number_writers = cache(primitives.number_writers)


@cache
def text_cache(compact: bool, lenient: bool) -> primitives.TextCache:
    """The encoded strings that all encoders of a kind share."""
    return primitives.TextCache(compact=compact, errors="replace" if lenient else "strict")


class CannotEncode(InvariantBroken):
    """A value that the wanted version of a message cannot carry."""


class EncoderSource:
    """Collects the lines of one encoder. `pending` is the run of fixed-size writes not yet written out."""

    def __init__(self, cls: type[Any], version: int, *, chunks: bool, lenient: bool, fallback: Encoder | None) -> None:
        schema = schema_of(cls)
        self.version = version
        self.first = schema.versions.low
        self.flexible = schema.flexible.covers(version)
        self.chunks = chunks
        self.lenient = lenient
        self.title = f"{schema.name} v{version}"
        self.names: dict[str, Any] = {
            "CannotEncode": CannotEncode,
            "StructError": struct.error,
            "BYTES": primitives.BYTES,
            "BYTES_LIKE": frozenset((bytes, bytearray, memoryview)),
            "uvarint": primitives.uvarint,
            "texts": text_cache(self.flexible, lenient),
            "join": b"".join,
            "pack": struct.pack,
            "fallback": fallback,
        }
        self.lines: list[str] = []
        self.depth = 2
        self.pending: list[tuple[str, str]] = []
        self.counter = 0
        self.text = self._whole(cls)

    def make(self) -> Encoder:
        exec(compile(self.text, f"<encoder of {self.title}>", "exec"), self.names)
        encoder: Encoder = self.names["encode"]
        return encoder

    # --- the frame of the function

    def _whole(self, cls: type[Any]) -> str:
        self._struct(cls, "made")
        self._flush()
        if self.chunks:
            result = ["    if out:", "        chunks.append(join(out))", "    return chunks"]
        else:
            result = ["    return join(out)"]
        surrogates = [] if self.lenient else ["    except UnicodeEncodeError:", "        return fallback(made)"]
        return "\n".join(
            [
                "def encode(made):",
                "    out = []",
                *(["    chunks = []"] if self.chunks else []),
                "    try:",
                *(self.lines or ["        pass"]),
                *surrogates,
                "    except (AttributeError, TypeError, ValueError, StructError) as error:",
                f'        raise CannotEncode(f"{self.title}: {{error}}") from error',
                *result,
                "",
            ]
        )

    def _write(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def _local(self, stem: str) -> str:
        self.counter += 1
        return f"{stem}{self.counter}"

    def _constant(self, value: Any) -> str:
        name = self._local("constant")
        self.names[name] = value
        return name

    # --- fixed-size runs: a format and the value's expression; "x" (a zero byte) has none

    def _fixed(self, code: str, value: str = "") -> None:
        self.pending.append((code, value))

    def _packed(self, *more: tuple[str, str]) -> str:
        """The expression that packs what is pending, and `more` behind it. Nothing is taken away."""
        run = [*self.pending, *more]
        codes = "".join(code for code, _ in run)
        values = ", ".join(value for _, value in run if value)
        if not values:
            return self._constant(bytes(len(codes)))
        if codes == "B":
            return f"BYTES[{values}]"
        name = "write_" + codes.replace("?", "o")
        self.names[name] = struct.Struct(">" + codes).pack
        return f"{name}({values})"

    def _flush(self) -> None:
        if self.pending:
            self._write(f"out.append({self._packed()})")
            self.pending = []

    def _length(self, length: str) -> None:
        """Writes the length of a value (compact: plus one) behind what is pending."""
        if not self.flexible:
            self._fixed("i", length)
            self._flush()
            return
        short = self._packed(("B", length))
        long = f"uvarint({length})"
        if self.pending:
            long = f"{self._packed()} + {long}"
            self.pending = []
        self._write(f"out.append({short} if {length} < 128 else {long})")

    def _unless_null(self, field: Field, value: str) -> bool:
        """Writes null and opens the other branch, one level deeper; False if the field has no null here."""
        if not field.nullable.covers(self.version):
            return False
        before = list(self.pending)
        self._write(f"if {value} is None:")
        self.depth += 1
        self.pending.append(self._null(field))
        self._flush()
        self.depth -= 1
        self._write("else:")
        self.depth += 1
        self.pending = before
        return True

    def _null(self, field: Field) -> tuple[str, str]:
        if self.flexible:
            return "x", ""
        return ("h" if field.type == "string" else "i"), "-1"

    # --- structs

    def _struct(self, cls: type[Any], source: str) -> None:
        schema = schema_of(cls)
        for field in schema.fields:
            if not field.versions.covers(self.version) and not field.ignorable:
                self._absent(schema.name, field, source)
        there = [field for field in schema.fields if field.versions.covers(self.version)]
        plain = [field for field in there if not field.tagged.covers(self.version)]
        tagged = sorted(
            (field for field in there if field.tagged.covers(self.version)), key=lambda field: field.tag or 0
        )
        spare = [field for field in plain if self._is_spare(field)]
        if len(spare) + bool(tagged) < 2:
            self._fields(plain, tagged, source)
            return
        # What versions added later is nearly always empty: then a whole struct is one run.
        conditions = [self._spare_condition(field, f"{source}.{field.name}") for field in spare]
        conditions += [f"not ({self._differs(field, f'{source}.{field.name}')})" for field in tagged]
        before = list(self.pending)
        self._write(f"if {' and '.join(conditions)}:")
        self.depth += 1
        for field in plain:
            if field in spare:
                self.pending.append(self._spare_bytes(field))
            else:
                self._value(field, f"{source}.{field.name}")
        if self.flexible:
            self._fixed("x")
        self._flush()
        self.depth -= 1
        self._write("else:")
        self.depth += 1
        self.pending = before
        self._fields(plain, tagged, source)
        self._flush()
        self.depth -= 1

    def _fields(self, plain: list[Field], tagged: list[Field], source: str) -> None:
        for field in plain:
            self._value(field, f"{source}.{field.name}")
        if tagged:
            self._tags(tagged, source)
        elif self.flexible:
            self._fixed("x")

    def _is_spare(self, field: Field) -> bool:
        """Whether a field is nearly always empty: an array or nullable value that later versions added, or a null."""
        if field.type == "array":
            return field.versions.low > self.first or field.nullable.covers(self.version)
        return field.type in ("string", "bytes") and field.nullable.covers(self.version) and field.default is None

    def _spare_condition(self, field: Field, value: str) -> str:
        return f"{value} is None" if field.nullable.covers(self.version) else f"not {value}"

    def _spare_bytes(self, field: Field) -> tuple[str, str]:
        if field.nullable.covers(self.version):
            return self._null(field)
        return ("B", "1") if self.flexible else ("i", "0")

    def _absent(self, name: str, field: Field, source: str) -> None:
        self._write(f"if {self._differs(field, f'{source}.{field.name}')}:")
        self._write(f'    raise CannotEncode("{self.title} cannot carry {name}.{field.name}")')

    def _differs(self, field: Field, value: str) -> str:
        """The condition that a value is not the declared default."""
        default = field.default
        if field.has_new_default():
            return f"{value} is None or {value}" if field.nullable.covers(self.version) else value
        if default is None:
            return f"{value} is not None"
        if default is False:
            return value
        if isinstance(default, (int, str)):
            return f"{value} != {default!r}"
        constant = self._constant(default)
        return f"{value} is not {constant} and {value} != {constant}"

    def _tags(self, tagged: list[Field], source: str) -> None:
        conditions = [self._differs(field, f"{source}.{field.name}") for field in tagged]
        values = self._local("some")
        # The usual case, no tag at all, goes out with the run before it.
        before = list(self.pending)
        self._write(f"if {' or '.join(f'({condition})' for condition in conditions)}:")
        self.depth += 1
        self._flush()
        self._write(f"{values} = 0")
        outer, tags = self._local("outer"), self._local("tags")
        self._write(f"{outer} = out")
        self._write(f"{tags} = []")
        for field, condition in zip(tagged, conditions, strict=True):
            self._write(f"if {condition}:")
            self.depth += 1
            self._write("out = []")
            self._value(field, f"{source}.{field.name}")
            self._flush()
            self._write("body = join(out)")
            self._write(f"{tags} += (uvarint({field.tag}), uvarint(len(body)), body)")
            self._write(f"{values} += 1")
            self.depth -= 1
        self._write(f"out = {outer}")
        self._write(f"out.append(uvarint({values}))")
        self._write(f"out += {tags}")
        self.depth -= 1
        self._write("else:")
        self.depth += 1
        self.pending = [*before, ("x", "")]
        self._flush()
        self.depth -= 1

    # --- values

    def _value(self, field: Field, source: str) -> None:
        if field.type in FIXED:
            self._fixed(FIXED[field.type], source)
        elif field.type == "struct":
            self._nested(field, source)
        elif field.type == "array":
            self._array(field, source)
        elif field.type == "string":
            self._text(field, source)
        else:
            self._octets(field, source)

    def _nested(self, field: Field, source: str) -> None:
        assert field.struct is not None
        value = self._local("s")
        if not field.nullable.covers(self.version):
            self._write(f"{value} = {source}")
            self._struct(field.struct, value)
            return
        self._flush()
        self._write(f"{value} = {source}")
        self._write(f"if {value} is None:")
        self._write('    out.append(b"\\xff")')
        self._write("else:")
        self.depth += 1
        self._fixed("b", "1")
        self._struct(field.struct, value)
        self._flush()
        self.depth -= 1

    def _text(self, field: Field, source: str) -> None:
        if not field.nullable.covers(self.version):
            self._flush()
            self._write(f"out.append(texts[{source}])")
            return
        value = self._local("s")
        self._write(f"{value} = {source}")
        self._unless_null(field, value)
        self._flush()
        self._write(f"out.append(texts[{value}])")
        self.depth -= 1

    def _octets(self, field: Field, source: str) -> None:
        """Bytes and records: a length, and what it counts."""
        value, length = self._local("b"), self._local("n")
        self._write(f"{value} = {source}")
        deeper = self._unless_null(field, value)
        self._write(f"{length} = len({value}){' + 1' if self.flexible else ''}")
        self._length(length)
        if field.type == "records" and self.chunks:
            self._write(f"if type({value}) in BYTES_LIKE:")
            self._write(f"    out.append({value})")
            self._write("else:")
            self._write("    chunks.append(join(out))")
            self._write(f"    chunks.append({value})")
            self._write("    out.clear()")
        else:
            self._write(f"out.append({value})")
        self.depth -= deeper

    def _array(self, field: Field, source: str) -> None:
        item = field.item
        assert item is not None
        value, length = self._local("a"), self._local("n")
        self._write(f"{value} = {source}")
        deeper = self._unless_null(field, value)
        self._write(f"{length} = len({value}){' + 1' if self.flexible else ''}")
        self._length(length)
        if item.type in FIXED and item.type not in ("bool", "uuid"):
            self._numbers(FIXED[item.type], value)
            self.depth -= deeper
            return
        each = self._local("x")
        self._write(f"for {each} in {value}:")
        self.depth += 1
        if item.struct is not None:
            self._struct(item.struct, each)
        else:
            self._value(item, each)
        self._flush()
        self.depth -= 1 + deeper

    def _numbers(self, code: str, value: str) -> None:
        self.names[f"write_some_{code}"] = number_writers(code)
        self._write(f"if {value}:")
        self._write(f"    if len({value}) < {READY}:")
        self._write(f"        out.append(write_some_{code}[len({value})](*{value}))")
        self._write("    else:")
        self._write(f'        out.append(pack(">%d{code}" % len({value}), *{value}))')
