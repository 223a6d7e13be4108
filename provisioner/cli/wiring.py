"""Build the engines from the settings, each when it is first needed."""

from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from provisioner.cli.settings import Settings
from provisioner.engines.index.pip_config import PackageSettings, read_pip_settings
from provisioner.engines.net.addresses import to_canonical, to_mirror
from provisioner.engines.net.settings import NetworkSettings, read_network_settings
from provisioner.events import Listener, ignore_events
from provisioner.profile.model import DEFAULT_INDEX
from provisioner.resolve.request import CondaSolver, PipSolver

if TYPE_CHECKING:
    from provisioner.engines.index.reader import IndexReader
    from provisioner.engines.net.download import Downloader

# What a child process may know of our environment: where programs, temporary files and certificates are.
_PASSED_ON = (
    "PATH",
    "HOME",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "COMSPEC",
    "PATHEXT",
    "LANG",
    "LC_ALL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
)


class Engines:
    """The outside tools of one run."""

    def __init__(self, settings: Settings, *, on_event: Listener = ignore_events) -> None:
        """Build nothing yet."""
        self.settings = settings
        self.on_event = on_event
        self._making = Lock()
        self._index_reader: IndexReader | None = None

    @cached_property
    def child_environ(self) -> dict[str, str]:
        """The environment of engines that run as child processes."""
        environ = self.settings.environ
        return {name: environ[name] for name in _PASSED_ON if name in environ}

    @cached_property
    def packages(self) -> PackageSettings:
        """What the user told pip and uv."""
        return read_pip_settings(self.settings.environ)

    @cached_property
    def network(self) -> NetworkSettings:
        """How to reach the network."""
        return read_network_settings(
            self.settings.environ,
            self.packages,
            mirrors=self.settings.mirrors,
            offline=self.settings.offline,
        )

    @cached_property
    def downloader(self) -> "Downloader":
        """The one client of the network."""
        # 0.1 s that a build from a full store does not pay.
        from provisioner.engines.net.download import Downloader  # noqa: PLC0415 - see above

        return Downloader(self.network, on_event=self.on_event)

    @property
    def cache(self) -> Path:
        """The folder of what can be fetched again."""
        return self.settings.data / "cache"

    @cached_property
    def default_index(self) -> str:
        """The address of the default index: the user's, else the one that a library knows."""
        if self.packages.default_index:
            return self.packages.default_index
        # Imported here: it brings requests, which a user with an index of their own does not need.
        from pypi_simple import PYPI_SIMPLE_ENDPOINT  # noqa: PLC0415 - see above

        return PYPI_SIMPLE_ENDPOINT

    def index_reader(self) -> "IndexReader":
        """Return what reads package indexes over the network."""
        from provisioner.engines.index.reader import IndexReader  # noqa: PLC0415 - it loads the network's client

        # Several threads may be the first to need it.
        with self._making:
            if self._index_reader is None:
                self._index_reader = IndexReader(
                    self.downloader, canonical=self._canonical, folder=self.cache / "whole"
                )
            return self._index_reader

    @cached_property
    def pip_solver(self) -> PipSolver:
        """Return uv; what it reads of an index serves all profiles of the run."""
        from provisioner.engines.index.source import IndexSource  # noqa: PLC0415 - only resolving needs it
        from provisioner.engines.uv.solver import UvSolver  # noqa: PLC0415 - the same

        source = IndexSource(
            self.index_reader,
            default_index=lambda: self.default_index,
            default_name=self.packages.default_index or DEFAULT_INDEX,
            cache=self.cache / "index",
            offline=self.settings.offline,
        )
        return UvSolver(source, cache=self.cache / "uv", environ=self.child_environ)

    @cached_property
    def conda_solver(self) -> CondaSolver:
        """Rattler."""
        from provisioner.engines.conda.solver import RattlerSolver  # noqa: PLC0415 - only resolving needs it

        return RattlerSolver(
            cache=self.cache / "rattler-repodata",
            mirror=lambda url: to_mirror(url, self.settings.mirrors),
            canonical=self._canonical,
            environ=self.child_environ,
            offline=self.settings.offline,
        )

    def close(self) -> None:
        """End solves and transfers that other threads have under way, and close connections."""
        for name in ("conda_solver", "pip_solver"):
            if name in self.__dict__:
                self.__dict__[name].stop()
        if "downloader" in self.__dict__:
            self.downloader.close()

    def _canonical(self, url: str) -> str:
        return to_canonical(url, self.settings.mirrors)
