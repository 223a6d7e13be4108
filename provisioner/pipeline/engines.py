"""The one place where engines are made and connected, from the settings; each when it is first needed."""

from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from types import TracebackType
from typing import Self

from provisioner import __version__
from provisioner.engines.archive.bundle import BundleReader
from provisioner.engines.bytecode.cache import BytecodeCache
from provisioner.engines.conda.linker import RattlerLinker
from provisioner.engines.conda.solver import RattlerSolver
from provisioner.engines.index.page_cache import IndexSource
from provisioner.engines.index.reader import IndexReader
from provisioner.engines.net.download import Downloader
from provisioner.engines.net.pip_config import PackageSettings, read_pip_settings
from provisioner.engines.net.settings import NetworkSettings, read_network_settings
from provisioner.engines.osv.client import OsvClient
from provisioner.engines.store.fetch import StoreFetcher
from provisioner.engines.store.store import Store
from provisioner.engines.uv.installer import UvInstaller
from provisioner.engines.uv.solver import UvSolver
from provisioner.events import Listener, ignore_events
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.install.generations import EnvironmentHome
from provisioner.install.in_use import hold_downloads
from provisioner.pipeline.build import BuildEngines
from provisioner.pipeline.settings import Settings

# What a child process may know of our environment: where programs, temporary files and certificates are. Not
# proxies: rattler's solver alone asks the network by itself, and a proxy's address may hold a password.
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
)


class Engines:
    """The outside tools of one job; a `with` block ends what they have under way."""

    def __init__(self, settings: Settings, *, on_event: Listener = ignore_events) -> None:
        """Make nothing yet."""
        self.settings = settings
        self.home = EnvironmentHome(data=settings.data)
        self._on_event = on_event
        self._uses = ExitStack()

    def __enter__(self) -> Self:
        """Return the engines."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End solves and transfers that other threads have under way, and close connections."""
        self.close()

    def close(self) -> None:
        """End solves and transfers that other threads have under way, and close connections."""
        for name in ("conda_solver", "pip_solver"):
            if name in self.__dict__:
                self.__dict__[name].stop()
        if "downloader" in self.__dict__:
            self.downloader.close()
        if self.__dict__.get("bundle") is not None:
            self.__dict__["bundle"].close()
        self._uses.close()

    @cached_property
    def child_environ(self) -> dict[str, str]:
        """The environment of engines that run as child processes."""
        environ = self.settings.environ
        return {name: environ[name] for name in _PASSED_ON if name in environ}

    @cached_property
    def packages(self) -> PackageSettings:
        """What the user told pip and uv; a mirror of the default index stands for that index."""
        packages = read_pip_settings(self.settings.environ)
        mirror = self.settings.mirrors.get(DEFAULT_INDEX)
        return packages if mirror is None else replace(packages, default_index=mirror)

    @cached_property
    def network(self) -> NetworkSettings:
        """How to reach the network."""
        return read_network_settings(
            self.settings.environ,
            self.packages,
            mirrors={old: new for old, new in self.settings.mirrors.items() if old != DEFAULT_INDEX},
            offline=self.settings.offline,
        )

    @cached_property
    def downloader(self) -> Downloader:
        """The one client of the network."""
        return Downloader(self.network, on_event=self._on_event)

    @cached_property
    def default_index(self) -> str:
        """The address of the default index: the user's, else the one that a library knows."""
        return self.packages.find_default_index()

    @cached_property
    def bundle(self) -> BundleReader | None:
        """The bundle that files are taken from, if there is one."""
        return None if self.settings.bundle is None else BundleReader(self.settings.bundle)

    @cached_property
    def index_source(self) -> IndexSource:
        """What package indexes say, kept for the next run."""
        return IndexSource(
            IndexReader(self.downloader, folder=self.home.cache / "whole"),
            packages=self.packages,
            cache=self.home.cache / "index",
            offline=self.settings.offline,
        )

    @cached_property
    def osv(self) -> OsvClient:
        """What asks for known vulnerabilities."""
        return OsvClient(
            self.downloader, cache=self.home.cache / "osv" / "answers.json", offline=self.settings.offline
        )

    @cached_property
    def fetcher(self) -> StoreFetcher:
        """What brings locked files into the store; nobody deletes from it while the job runs."""
        self._uses.enter_context(hold_downloads(self.home))
        return StoreFetcher(
            Store(self.home.store),
            downloader=self.downloader,
            packages=self.packages,
            wheelhouses=self.settings.find_links,
            bundle=self.bundle,
            on_event=self._on_event,
        )

    @cached_property
    def uv_installer(self) -> UvInstaller:
        """What makes virtual environments and installs wheels."""
        return UvInstaller(cache=self.home.cache / "uv", environ=self.child_environ)

    @cached_property
    def bytecode(self) -> BytecodeCache:
        """Compiled modules of wheels."""
        return BytecodeCache(self.home.cache / "bytecode", environ=self.child_environ)

    @property
    def build(self) -> BuildEngines:
        """Return everything that builds an environment."""
        return BuildEngines(
            fetcher=self.fetcher,
            uv=self.uv_installer,
            rattler=RattlerLinker(environ=self.child_environ),
            bytecode=self.bytecode,
            home=self.home,
            tools={"provision": __version__, "uv": version("uv"), "py-rattler": version("py-rattler")},
        )

    @cached_property
    def pip_solver(self) -> UvSolver:
        """uv; what it reads of an index serves all profiles of the job."""
        return UvSolver(self.index_source, cache=self.home.cache / "uv", environ=self.child_environ)

    @cached_property
    def conda_solver(self) -> RattlerSolver:
        """Rattler."""
        return RattlerSolver(
            cache=self.home.cache / "rattler-repodata",
            mirrors=self.network.mirrors,
            environ=self.child_environ | self.network.list_proxy_variables(),
            offline=self.settings.offline,
        )
