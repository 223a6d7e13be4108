"""Check that every reader of a zip sees the same: no gaps, overlaps, tails or headers that differ.

The digest of a file says nothing about its content when one reader trusts its directory and another its parts
(CVE-2025-54368).
"""

import struct
import zipfile
from typing import BinaryIO

from provisioner.engines.archive.scan import refuse

_LOCAL_HEADER = struct.Struct(
    "<4s5H3I2H"
)  # signature; version, flags, method, time, date; CRC, sizes; lengths
_END = struct.Struct("<4s4H2IH")
_DESCRIPTOR, _UTF8 = 0x08, 0x800
_LONGEST_DESCRIPTOR = 24
_IN_EXTRA = 0xFFFFFFFF


def check_container(file: BinaryIO, opened: zipfile.ZipFile, archive: str) -> None:
    """Refuse an ambiguous zip.

    Raises:
        InstallError: ``install.archive``.
    """
    _check_end(file, opened, archive)
    end, slack = 0, 0
    for info in sorted(opened.infolist(), key=lambda info: info.header_offset):
        if not end <= info.header_offset <= end + slack:
            raise refuse(archive, "is not where the one before it ends", member=info.orig_filename)
        end = info.header_offset + _check_header(file, info, archive) + info.compress_size
        slack = _LONGEST_DESCRIPTOR if info.flag_bits & _DESCRIPTOR else 0
    if not end <= opened.start_dir <= end + slack:
        raise refuse(archive, "has bytes between its members and its directory")


def _check_end(file: BinaryIO, opened: zipfile.ZipFile, archive: str) -> None:
    file.seek(-(_END.size + len(opened.comment)), 2)
    end = _END.unpack(file.read(_END.size))
    if end[0] != b"PK\x05\x06" or end[7] != len(opened.comment) or b"PK" in opened.comment:
        raise refuse(archive, "has bytes behind its end")


def _check_header(file: BinaryIO, info: zipfile.ZipInfo, archive: str) -> int:
    """Compare a member's own header with the directory's and return the header's length."""
    file.seek(info.header_offset)
    header = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    name = file.read(header[9])
    encoding = "utf-8" if info.flag_bits & _UTF8 else "cp437"
    same_sizes = (
        header[6:9] == (info.CRC, info.compress_size, info.file_size)
        or info.flag_bits & _DESCRIPTOR  # the sizes follow the data
        or _IN_EXTRA in header[7:9]
    )
    if (
        header[0] != b"PK\x03\x04"
        or header[2:4] != (info.flag_bits, info.compress_type)
        or name != info.orig_filename.encode(encoding)
        or not same_sizes
    ):
        raise refuse(archive, "has two headers that differ", member=info.orig_filename)
    return _LOCAL_HEADER.size + int(header[9]) + int(header[10])
