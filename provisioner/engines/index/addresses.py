"""Where a locked file of the default index lies: the index's own pages tell."""

from provisioner.engines.index.page import IndexFile, fetch_page
from provisioner.engines.net.download import Downloader, NotFoundError
from provisioner.errors import UnavailableError
from provisioner.resolve.model import PipPackage


class IndexAddresses:
    """Finds the address of a ``pypi:<filename>`` file on the default index; each page is read once."""

    def __init__(self, downloader: Downloader, *, default_index: str) -> None:
        """Ask nothing yet."""
        self._downloader = downloader
        self._default_index = default_index
        self._pages: dict[str, dict[str, IndexFile]] = {}

    def __call__(self, package: PipPackage) -> str:
        """Return the file's address.

        Raises:
            UnavailableError: The index could not be read, or has no such file any more.
        """
        if package.name not in self._pages:
            self._pages[package.name] = self._read(package.name)
        file = self._pages[package.name].get(package.filename)
        if file is None or file.sha256 not in {None, package.sha256}:
            raise UnavailableError(
                "unavailable.not_found",
                f"the default index has no `{package.filename}` with sha256 `{package.sha256}` any more",
                hints=["lock again, or name an index or mirror that has it"],
                context={"filename": package.filename},
            )
        return file.url

    def _read(self, project: str) -> dict[str, IndexFile]:
        url = f"{self._default_index.rstrip('/')}/{project}/"
        try:
            page = fetch_page(self._downloader, url, project=project)
        except NotFoundError:
            return {}
        return {file.filename: file for file in page.files or ()}
