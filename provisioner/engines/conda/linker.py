"""Link conda packages into a prefix with rattler, from local files only."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provisioner.engines.conda.rattler_process import ask_rattler
from provisioner.engines.net.addresses import redact_text
from provisioner.engines.process.run import ProgramTimeoutError
from provisioner.engines.store.file import StoredFile
from provisioner.errors import InstallError, InternalError
from provisioner.ground.files import write_atomically
from provisioner.ground.refusals import disk_error, find_disk_fault
from provisioner.resolve.model import CondaPackage

_TIMEOUT_S = 1800.0
# Where the files came from on this machine; conda's own tools do without.
_LOCAL_FIELDS = ("extracted_package_dir", "package_tarball_full_path")


class RattlerLinker:
    """Makes conda prefixes with py-rattler. Scripts of packages for their own installation are never run."""

    def __init__(self, *, environ: Mapping[str, str]) -> None:
        """Keep the environment of the worker."""
        self._environ = environ

    def link_conda(
        self,
        prefix: Path,
        packages: Sequence[CondaPackage],
        files: Mapping[str, StoredFile],
        *,
        platform: str,
        unpacked: Path,
    ) -> None:
        """Make a conda prefix from stored files.

        Args:
            prefix: Its folder, absent.
            packages: The packages.
            files: Their files by sha256; rattler compares none with its digest.
            platform: ``linux-64`` or ``win-64``.
            unpacked: An empty folder on the prefix's file system. Linked files are hard links into it, so
                the caller deletes it.

        Raises:
            InstallError: It could not be made.
        """
        task = {
            "do": "link",
            "prefix": str(prefix),
            "cache": str(unpacked),
            "platform": platform,
            "packages": [describe_package(package, files[package.sha256]) for package in packages],
        }
        try:
            answer = ask_rattler(task, environ=self._environ, timeout_s=_TIMEOUT_S)
        except ProgramTimeoutError as error:
            raise InternalError("internal.rattler", f"rattler did not end within {_TIMEOUT_S:g} s") from error
        failure = redact_text(str(answer.get("failure") or ""))
        if fault := find_disk_fault(failure):
            raise disk_error(prefix, fault)
        if failure:
            raise InstallError(
                "install.conda",
                f"rattler could not link the conda packages: {failure}",
                hints=["run the same command again; if it fails again, report it with this output"],
            )
        by_name = {package.name: package for package in packages}
        for path in (prefix / "conda-meta").glob("*.json"):
            record = json.loads(path.read_text(encoding="utf-8"))
            package = by_name.pop(record["name"], None)
            if package is not None:
                text = json.dumps(canonical_record(record, package), indent=1, sort_keys=True)
                write_atomically(path, f"{text}\n")
        if by_name:
            raise InternalError(
                "internal.rattler",
                f"rattler says it is done, and `{'`, `'.join(by_name)}` is not in `conda-meta`",
            )


def canonical_record(record: Mapping[str, Any], package: CondaPackage) -> dict[str, Any]:
    """Return a ``conda-meta`` record with the package's canonical address and no place on this machine."""
    written = {key: value for key, value in record.items() if key not in _LOCAL_FIELDS}
    link = record.get("link")
    if isinstance(link, dict):
        written["link"] = {key: value for key, value in link.items() if key != "source"} | {"source": ""}
    return written | {"url": package.url, "channel": package.url.rsplit("/", 2)[0], "fn": package.filename}


def describe_package(package: CondaPackage, file: StoredFile) -> dict[str, Any]:
    """Return what becomes a record: the package's own ``index.json`` with the lock's dependencies."""
    depends = [f"{name} {constraint}".strip() for name, constraint in package.dependencies.items()]
    return {
        "index": dict(file.index) | {"depends": depends},
        "filename": package.filename,
        "url": file.path.as_uri(),
        "channel": package.url.rsplit("/", 2)[0],
        "size": file.path.stat().st_size,
        "sha256": package.sha256,
        "md5": package.md5,
    }
