"""Look into every archive before an engine does, and refuse what the engine would let through.

uv and rattler refuse most of what is wrong with an archive; tests/engines/test_archive_engines.py shows what.
Here the rest is refused, by the member's name, before anything is unpacked. The answer depends on the file
alone and is kept beside it.
"""

import configparser
import csv
import errno
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import zstandard

from provisioner.engines.archive.refused import refuse
from provisioner.engines.archive.scan_conda import scan_conda
from provisioner.engines.archive.scan_wheel import scan_wheel
from provisioner.engines.store.file import StoredFile
from provisioner.resolve.model import CondaPackage, PipPackage

SCANNER = 4
"""Rises with every change of what is refused or noted: files that an older one let pass are scanned again."""


# What the readers of archives, of CSV, INI and JSON raise for damaged input.
_UNREADABLE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, zstandard.ZstdError, struct.error, csv.Error),
    *(configparser.Error, EOFError, ArithmeticError, LookupError, RuntimeError, ValueError, TypeError),
    AttributeError,
)


def scan_package(path: Path, package: CondaPackage | PipPackage) -> StoredFile:
    """Scan a file whose digest is the locked one.

    Raises:
        InstallError: ``install.archive``: no honest package looks like this, or it is another package.
    """
    try:
        if isinstance(package, CondaPackage):
            return scan_conda(path, package)
        if package.filename.endswith(".whl"):
            return scan_wheel(path, package)
    except _UNREADABLE as error:
        raise refuse(package.filename, f"cannot be read: {error}") from error
    except OSError as error:
        if error.errno in {None, errno.EINVAL}:  # a reader's, not the disk's
            raise refuse(package.filename, f"cannot be read: {error}") from error
        raise
    # uv checks a source archive's names, and what is built from it. Its code may do anything meanwhile, which
    # is why a profile has to name it and say why.
    notice = f"`{package.filename}` is built on this machine, which runs its author's code"
    return StoredFile(path=path, notices=(notice,))
