"""Where locked wheels lie: the pages of package indexes tell."""

from collections import defaultdict
from collections.abc import Mapping
from threading import Lock

from provisioner.engines.index.page import IndexFile, fetch_page
from provisioner.engines.net.addresses import redact
from provisioner.engines.net.download import Downloader
from provisioner.engines.net.pip_config import PackageSettings
from provisioner.errors import InstallError, UnavailableError
from provisioner.resolve.model import CondaPackage, PipPackage


class IndexFiles:
    """Finds files by their locked name and digest, in several threads at once; every page is read once."""

    def __init__(self, downloader: Downloader, packages: PackageSettings) -> None:
        """Ask nothing yet."""
        self._downloader = downloader
        self._packages = packages
        self._pages: dict[str, Mapping[str, IndexFile] | UnavailableError] = {}
        self._reading: defaultdict[str, Lock] = defaultdict(Lock)
        self._lock = Lock()

    def find_in_default_index(self, package: CondaPackage | PipPackage) -> IndexFile:
        """Return a file that was locked as ``pypi:<filename>``.

        Raises:
            InstallError: ``install.hash_mismatch``: the index has a file of that name with another digest.
            UnavailableError: The index could not be read, or has no such file any more.
        """
        index = self._packages.find_default_index()
        file = self.find_in_index(index, package)
        if file is None:
            raise UnavailableError(
                "unavailable.not_found",
                f"`{package.filename}` is not in the index `{redact(index)}` any more",
                hints=[
                    "lock again: the file was removed, or the index is another one than when it was locked"
                ],
                context={"index": redact(index), "filename": package.filename},
            )
        return file

    def find_in_index(self, index: str, package: CondaPackage | PipPackage) -> IndexFile | None:
        """Return a file from its project's page, None where it is not there; errors as above."""
        return self.find_on_page(f"{index.rstrip('/')}/{package.name}/", package)

    def find_on_page(self, page: str, package: CondaPackage | PipPackage) -> IndexFile | None:
        """Return a file from any page of links, None where it is not there; errors as above."""
        files = self._read_page(page, project=package.name)
        file = files.get(package.filename)
        if file is not None and file.sha256 not in {None, package.sha256}:
            raise _another_file(package, page, got=file.sha256)
        return file

    def _read_page(self, page: str, *, project: str) -> Mapping[str, IndexFile]:
        """Return a page's files by their names; whoever wants the same page waits, and fails as it did."""
        with self._lock:
            reading = self._reading[page]
        with reading:
            if page not in self._pages:
                try:
                    fetched = fetch_page(self._downloader, page, project=project)
                except UnavailableError as error:
                    self._pages[page] = error
                else:
                    self._pages[page] = {file.filename: file for file in fetched.files or ()}
        found = self._pages[page]
        if isinstance(found, UnavailableError):
            raise found
        return found


def _another_file(package: CondaPackage | PipPackage, page: str, *, got: str | None) -> InstallError:
    return InstallError(
        "install.hash_mismatch",
        f"`{package.filename}` in `{redact(page)}` is not the locked file: "
        f"expected sha256 `{package.sha256}`, the index says `{got}`",
        hints=[
            "find out why it changed before trusting it: the index or a mirror may serve another file",
            "lock again if the change is wanted",
        ],
        context={"url": redact(page), "expected": package.sha256, "got": got},
    )
