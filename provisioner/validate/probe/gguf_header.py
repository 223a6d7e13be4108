"""Read the head of a GGUF file, to refuse what would crash openvino_genai: it segfaults on a short file.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_MANY = 1 << 24
_TYPES = {  # ggml's `type_traits`: number to name, weights in a block, bytes of a block
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136),
    30: ("BF16", 1, 2),
}


class GgufError(Exception):
    """The file is not a complete GGUF file."""


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself: scalars and texts by key, tensors by type, and all weights."""

    fields: dict[str, Any]
    types: dict[str, int]
    parameters: int

    @property
    def architecture(self) -> str:
        """Return the kind of model: ``llama``, ``qwen2``, ``qwen3`` or another."""
        return str(self.fields.get("general.architecture", ""))


def read_header(path: Path) -> Header:
    """Return the head, after a check that every tensor lies inside the file.

    Raises:
        GgufError: It is not a GGUF file, or it breaks off.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return _read(file, size)
        except (struct.error, UnicodeDecodeError, OverflowError, MemoryError) as error:
            raise GgufError(f"`{path.name}` breaks off in its head") from error


def _read(file: BinaryIO, size: int) -> Header:
    if file.read(4) != b"GGUF":
        raise GgufError("it does not begin with `GGUF`")
    version, tensors, keys = _take(file, "<I"), _take(file, "<Q"), _take(file, "<Q")
    if version not in (2, 3) or tensors > _MANY or keys > _MANY:
        raise GgufError(f"it has version {version} of the format")
    fields = {}
    for _ in range(keys):
        name = _text(file)
        value = _value(file, _take(file, "<I"))
        if not isinstance(value, list):
            fields[name] = value
    types: dict[str, int] = {}
    parameters = end = 0
    for _ in range(tensors):
        _text(file)
        count = 1
        for _ in range(_take(file, "<I")):
            count *= _take(file, "<Q")
        number, offset = _take(file, "<I"), _take(file, "<Q")
        name, block, block_bytes = _TYPES.get(number, (f"type {number}", 1, 0))
        types[name] = types.get(name, 0) + 1
        parameters += count
        end = max(end, offset + count // block * block_bytes)
    alignment = int(fields.get("general.alignment", 32))
    start = -(-file.tell() // alignment) * alignment
    if start + end > size:
        raise GgufError(f"it breaks off: it describes {start + end} bytes and has {size}")
    return Header(fields=fields, types=types, parameters=parameters)


def _take(file: BinaryIO, layout: str) -> Any:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))[0]


def _text(file: BinaryIO) -> str:
    length = _take(file, "<Q")
    if length > _MANY:
        raise GgufError("it has a text of more than 16 MiB")
    data = file.read(length)
    if len(data) != length:
        raise GgufError("it breaks off in its head")
    return data.decode("utf-8", "replace")


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _text(file)
    if kind == _ARRAY:
        inner, length = _take(file, "<I"), _take(file, "<Q")
        if length > _MANY:
            raise GgufError("it has a list of more than 16 million entries")
        if inner in _SCALARS:
            file.seek(length * struct.calcsize(_SCALARS[inner]), 1)
        else:
            for _ in range(length):
                _value(file, inner)
        return []
    if kind not in _SCALARS:
        raise GgufError(f"it has a value of unknown type {kind}")
    return _take(file, _SCALARS[kind])
