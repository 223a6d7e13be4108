"""Build the engines that install and validate, each when it is first needed."""

from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

from provisioner import __version__
from provisioner.cli.settings import Settings
from provisioner.errors import LockError
from provisioner.events import Listener
from provisioner.install.build import CondaLinker, Fetcher, InstallEngines
from provisioner.install.home import EnvironmentHome, Generation
from provisioner.pipeline import ValidationChoices, check_lock, lock_profile, validate_generation
from provisioner.profile.model import Profile
from provisioner.validate.model import Report

if TYPE_CHECKING:
    from provisioner.cli.wiring import Engines


class LazyEngines:
    """The engines of one `create` or `validate`."""

    def __init__(self, settings: Settings, *, on_event: Listener, fresh: bool = False) -> None:
        """Build nothing yet; with ``fresh`` nothing that was unpacked earlier is linked into a build."""
        self._fresh = fresh
        self._settings = settings
        self._on_event = on_event

    @cached_property
    def _engines(self) -> "Engines":
        # Brings the HTTP client, which a run with nothing to do does not pay.
        from provisioner.cli.wiring import Engines  # noqa: PLC0415 - see above

        return Engines(self._settings, on_event=self._on_event)

    def fetcher(self) -> Fetcher:
        """Return what brings locked files into the store."""
        from provisioner.engines.store.fetch import StoreFetcher  # noqa: PLC0415 - not before something is missing
        from provisioner.engines.store.store import Store  # noqa: PLC0415 - the same

        engines = self._engines
        return StoreFetcher(
            Store(EnvironmentHome(data=self._settings.data).store),
            downloader=lambda: engines.downloader,
            default_index=lambda: engines.default_index,
            wheelhouses=(*self._settings.find_links, *engines.packages.find_links),
            extra_indexes=engines.packages.extra_indexes,
            on_event=self._on_event,
        )

    def install(self) -> InstallEngines:
        """Return everything that builds an environment."""
        from provisioner.engines.uv.installer import UvInstaller  # noqa: PLC0415 - only a build needs it

        home = EnvironmentHome(data=self._settings.data)
        uv = UvInstaller(cache=home.cache / "uv", environ=self._engines.child_environ)
        if self._fresh:
            # Files are hard links into uv's cache: what was changed in the old build is changed there, too.
            uv.clean_cache()
        return InstallEngines(
            fetcher=self.fetcher(),
            venv=uv,
            conda=self._conda_linker,
            wheels=uv,
            tools={"provision": __version__, "uv": version("uv"), "py-rattler": version("py-rattler")},
        )

    def validate(
        self, generation: Generation, profile: Profile, *, home: EnvironmentHome, choices: ValidationChoices
    ) -> Report:
        """Validate a built environment."""
        from provisioner.engines.process.run import start_program  # noqa: PLC0415 - only validation needs it

        return validate_generation(
            generation,
            profile,
            home=home,
            fetcher=self.fetcher,
            process=start_program,
            host_environ=self._settings.environ,
            choices=choices,
            on_event=self._on_event,
        )

    def lock_if_stale(self, profile: Profile) -> None:
        """Resolve a profile and write its lockfile where there is none that answers it."""
        try:
            folder = self._settings.find_lockfile_folder(profile.file)
            stale = check_lock(profile, folder=folder) is not None
        except LockError:
            stale = True
        if stale:
            lock_profile(
                profile,
                folder=self._settings.choose_lockfile_folder(profile.file),
                conda=self._engines.conda_solver,
                pip=self._engines.pip_solver,
                on_event=self._on_event,
            )

    def close(self) -> None:
        """End transfers and close connections."""
        if "_engines" in self.__dict__:
            self._engines.close()

    def _conda_linker(self) -> CondaLinker:
        from provisioner.engines.conda.linker import RattlerLinker  # noqa: PLC0415 - only conda bases need it

        return RattlerLinker(
            cache=EnvironmentHome(data=self._settings.data).cache / "rattler-packages",
            environ=self._engines.child_environ,
        )
