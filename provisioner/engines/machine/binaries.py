"""Read which libraries a binary asks for, without loading it.

Sources: the System V ABI (ELF-64 object file, dynamic section) and Microsoft's PE format (import directory).
Only what runs here is read: 64-bit, little endian. Anything else, or damaged, gives None.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_MOST_ENTRIES = 4096
_LONGEST_NAME = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """Libraries by name, and the folders where the binary wants them looked for (``$ORIGIN`` as written)."""

    names: tuple[str, ...]
    folders: tuple[str, ...] = ()


def read_needs(path: Path) -> Needs | None:
    """Return what a shared library asks for; None where it is no readable 64-bit binary."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            if magic == b"\x7fELF":
                return _read_elf(file)
            return _read_pe(file) if magic[:2] == b"MZ" else None
    except (OSError, struct.error, ValueError, OverflowError):
        return None


def _unpack(file: BinaryIO, offset: int, layout: str) -> tuple[int, ...]:
    file.seek(offset)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _read_name(file: BinaryIO, offset: int) -> str:
    file.seek(offset)
    return file.read(_LONGEST_NAME).partition(b"\0")[0].decode("utf-8", "replace")


def _read_elf(file: BinaryIO) -> Needs | None:
    bits, endian = _unpack(file, 4, "<BB")
    if (bits, endian) != (2, 1):
        return None
    (headers_at,) = _unpack(file, 0x20, "<Q")
    size, count = _unpack(file, 0x36, "<HH")
    loads: list[tuple[int, int, int]] = []
    dynamic: tuple[int, int] | None = None
    for index in range(min(count, _MOST_ENTRIES)):
        kind, _, offset, address, _, in_file = _unpack(file, headers_at + index * size, "<IIQQQQ")
        if kind == _PT_LOAD:
            loads.append((address, offset, in_file))
        elif kind == _PT_DYNAMIC:
            dynamic = (offset, in_file)
    if dynamic is None:
        return Needs(names=())
    entries = [
        _unpack(file, dynamic[0] + 16 * index, "<qQ") for index in range(min(dynamic[1] // 16, _MOST_ENTRIES))
    ]
    strings_at = next((_to_offset(value, loads) for tag, value in entries if tag == _DT_STRTAB), None)
    if strings_at is None:
        return None
    names = [_read_name(file, strings_at + value) for tag, value in entries if tag == _DT_NEEDED]
    paths = [
        _read_name(file, strings_at + value) for tag, value in entries if tag in {_DT_RPATH, _DT_RUNPATH}
    ]
    return Needs(
        names=tuple(names), folders=tuple(part for path in paths for part in path.split(":") if part)
    )


def _to_offset(address: int, loads: list[tuple[int, int, int]]) -> int | None:
    for start, offset, length in loads:
        if start <= address < start + length:
            return address - start + offset
    return None


def _read_pe(file: BinaryIO) -> Needs | None:
    (header_at,) = _unpack(file, 0x3C, "<I")
    file.seek(header_at)
    if file.read(4) != b"PE\0\0":
        return None
    _, sections, _, _, _, optional_size, _ = _unpack(file, header_at + 4, "<HHIIIHH")
    optional_at = header_at + 24
    if _unpack(file, optional_at, "<H") != (0x20B,):
        return None
    imports_at, _ = _unpack(file, optional_at + 112 + 8, "<II")
    if imports_at == 0:
        return Needs(names=())
    tables = []
    for index in range(min(sections, _MOST_ENTRIES)):
        virtual_size, address, in_file, offset = _unpack(
            file, optional_at + optional_size + 40 * index + 8, "<IIII"
        )
        tables.append((address, offset, max(virtual_size, in_file)))
    at = _to_offset(imports_at, tables)
    if at is None:
        return None
    names = []
    for index in range(_MOST_ENTRIES):
        *_, name_at, _ = _unpack(file, at + 20 * index, "<IIIII")
        offset_of_name = _to_offset(name_at, tables) if name_at else None
        if offset_of_name is None:
            break
        names.append(_read_name(file, offset_of_name))
    return Needs(names=tuple(names))
