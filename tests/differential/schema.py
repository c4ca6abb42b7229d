"""Reads the project's own description of Kafka's messages (`crates/wire/schema`), and puts values into bytes and back.

A message is a dictionary by field names. The notation is told in `crates/wire-schema/src/lib.rs`; this is a third reading of
it, which shares nothing with the code under test.
"""

import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

SCHEMA = Path(__file__).resolve().parents[2] / "crates" / "wire" / "schema"
NEWEST = 32767
PRIMITIVES = {"i8": "b", "i16": "h", "i32": "i", "i64": "q", "u16": "H", "f64": "d", "bool": "?"}
FIELD = re.compile(
    r"(?P<name>\w+): (?P<type>\[?\w+\]?)(?P<null>\?(?P<null_from>[\d.]*))?(?: = (?P<default>\S+))?"
    r"(?: @(?P<versions>[\d.]+))?(?: tag (?P<tag>\d+))?(?P<ignorable> ignorable)?(?P<open> \{)?$"
)


class Undecodable(Exception):
    """Bytes that are not the message."""


def span(text: str | None) -> tuple[int, int]:
    """`3..7`, `3..`, `..7`, `3`; everything for nothing, and no version at all for `none`."""
    if text is None or text == "":
        return 0, NEWEST
    if text == "none":
        return NEWEST, -1
    first, dots, last = text.partition("..")
    return int(first or 0), int(last) if last else (NEWEST if dots else int(first))


@dataclass
class Field:
    name: str
    kind: str
    is_array: bool
    nullable: tuple[int, int]
    default: str | None
    versions: tuple[int, int]
    tag: int | None
    fields: list["Field"] = field(default_factory=list)

    def has(self, version: int) -> bool:
        return self.versions[0] <= version <= self.versions[1]

    def may_be_null(self, version: int) -> bool:
        return self.nullable[0] <= version <= self.nullable[1]

    def blank(self):
        """What a reader sees where the field is left out."""
        if self.default == "null":
            return None
        if self.is_array:
            return []
        if self.kind in PRIMITIVES:
            if self.kind == "bool":
                return self.default == "true"
            return float(self.default or 0) if self.kind == "f64" else int(self.default or 0)
        if self.kind == "string":
            return (self.default or "").strip('"')
        if self.kind == "uuid":
            return bytes(16)
        if self.kind == "records":
            return None
        return b"" if self.kind == "bytes" else {}


@dataclass
class Message:
    versions: tuple[int, int]
    flexible: tuple[int, int]
    fields: list[Field]

    def is_flexible(self, version: int) -> bool:
        return self.flexible[0] <= version <= self.flexible[1]


@dataclass
class Api:
    name: str
    key: int
    request: Message
    response: Message


def read_fields(lines: list[str], structs: dict[str, list[Field]]) -> list[Field]:
    """Takes lines up to the closing brace."""
    fields = []
    while (line := lines.pop(0)) != "}":
        if line.startswith("struct "):
            structs[line.split()[1]] = read_fields(lines, structs)
            continue
        match = FIELD.match(line)
        if match is None:
            raise ValueError(f"not a field: {line}")
        found = match.groupdict()
        kind, is_array = found["type"].strip("[]"), found["type"].startswith("[")
        null = span(found["null_from"]) if found["null"] else span("none")
        made = Field(
            found["name"],
            kind,
            is_array,
            null,
            found["default"],
            span(found["versions"]),
            int(found["tag"]) if found["tag"] else None,
        )
        if found["open"]:
            made.fields = structs[kind] = read_fields(lines, structs)
        fields.append(made)
    return fields


def bind(fields: list[Field], structs: dict[str, list[Field]]) -> None:
    """Gives fields the structs that are defined elsewhere."""
    for each in fields:
        if not each.fields and each.kind in structs:
            each.fields = structs[each.kind]
        elif each.fields:
            bind(each.fields, structs)


def read(path: Path) -> Api | None:
    """One file; nothing for what is no API."""
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
    head = lines.pop(0).split()
    if head[0] != "api":
        return None
    structs, messages = {}, {}
    while lines:
        words = lines.pop(0).split()
        messages[words[0]] = Message(span(words[1]), span(words[3]), read_fields(lines, structs))
    for message in messages.values():
        bind(message.fields, structs)
    return Api(head[1], int(head[3]), messages["request"], messages["response"])


def read_all() -> dict[int, Api]:
    """Every API by its key."""
    apis = filter(None, map(read, sorted(SCHEMA.glob("*.schema"))))
    return {api.key: api for api in apis}


def uvarint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def encode_length(length: int | None, flexible: bool, wide: bool) -> bytes:
    if flexible:
        return uvarint(0 if length is None else length + 1)
    return struct.pack(">i" if wide else ">h", -1 if length is None else length)


def encode_value(each: Field, kind: str, value, version: int, flexible: bool) -> bytes:
    if kind in PRIMITIVES:
        return struct.pack(">" + PRIMITIVES[kind], value)
    if kind == "uuid":
        return value
    if kind in ("string", "bytes", "records"):
        content = value.encode() if isinstance(value, str) else value
        length = None if content is None else len(content)
        return encode_length(length, flexible, kind != "string") + (content or b"")
    if each.may_be_null(version):
        # A struct that may be null begins with a byte that tells.
        return b"\xff" if value is None else b"\x01" + encode_fields(each.fields, value, version, flexible)
    return encode_fields(each.fields, value, version, flexible)


def encode_field(each: Field, value, version: int, flexible: bool) -> bytes:
    if not each.is_array:
        return encode_value(each, each.kind, value, version, flexible)
    out = encode_length(None if value is None else len(value), flexible, True)
    single = Field(each.name, each.kind, False, span("none"), None, each.versions, None, each.fields)
    return out + b"".join(encode_value(single, each.kind, item, version, flexible) for item in value or [])


def encode_fields(fields: list[Field], value: dict, version: int, flexible: bool) -> bytes:
    out, tagged = b"", {}
    for each in fields:
        if not each.has(version):
            continue
        content = value.get(each.name, each.blank())
        if each.tag is None:
            out += encode_field(each, content, version, flexible)
        elif content != each.blank():
            tagged[each.tag] = encode_field(each, content, version, flexible)
    if flexible:
        out += uvarint(len(tagged))
        for tag, content in sorted(tagged.items()):
            out += uvarint(tag) + uvarint(len(content)) + content
    return out


def encode(message: Message, version: int, value: dict) -> bytes:
    return encode_fields(message.fields, value, version, message.is_flexible(version))


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise Undecodable(f"{count} bytes at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code: str):
        return struct.unpack(">" + code, self.take(struct.calcsize(">" + code)))[0]

    def uvarint(self) -> int:
        shift = value = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def length(self, flexible: bool, wide: bool) -> int | None:
        length = self.uvarint() - 1 if flexible else self.number("i" if wide else "h")
        return None if length < 0 else length


def decode_value(each: Field, kind: str, reader: Reader, version: int, flexible: bool):
    if kind in PRIMITIVES:
        return reader.number(PRIMITIVES[kind])
    if kind == "uuid":
        return reader.take(16)
    if kind in ("string", "bytes", "records"):
        length = reader.length(flexible, kind != "string")
        content = None if length is None else reader.take(length)
        return content.decode() if kind == "string" and content is not None else content
    if each.may_be_null(version) and reader.number("b") < 0:
        return None
    return decode_fields(each.fields, reader, version, flexible)


def decode_field(each: Field, reader: Reader, version: int, flexible: bool):
    if not each.is_array:
        return decode_value(each, each.kind, reader, version, flexible)
    length = reader.length(flexible, True)
    if length is None:
        return None
    single = Field(each.name, each.kind, False, span("none"), None, each.versions, None, each.fields)
    return [decode_value(single, each.kind, reader, version, flexible) for _ in range(length)]


def decode_fields(fields: list[Field], reader: Reader, version: int, flexible: bool) -> dict:
    value = {}
    for each in fields:
        if each.has(version):
            value[each.name] = each.blank() if each.tag is not None else decode_field(each, reader, version, flexible)
    if flexible:
        by_tag = {each.tag: each for each in fields if each.tag is not None and each.has(version)}
        for _ in range(reader.uvarint()):
            tag, size = reader.uvarint(), reader.uvarint()
            content = Reader(reader.take(size))
            if tag not in by_tag:
                value[f"tag {tag}"] = content.data
            else:
                value[by_tag[tag].name] = decode_field(by_tag[tag], content, version, flexible)
    return value


def decode(message: Message, version: int, data: bytes) -> dict:
    """The message, which must be all of the bytes."""
    reader = Reader(data)
    value = decode_fields(message.fields, reader, version, message.is_flexible(version))
    if reader.at != len(data):
        raise Undecodable(f"{len(data) - reader.at} bytes are left")
    return value
