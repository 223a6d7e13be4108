"""Where the files of a profile that are not on this machine yet have to come from."""

from pathlib import Path

from provisioner.engines.net.addresses import local_path
from provisioner.engines.store.store import Store
from provisioner.errors import LockError
from provisioner.install.home import EnvironmentHome
from provisioner.lock.store import read_lock
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import DEFAULT_INDEX, Profile
from provisioner.resolve.model import CondaPackage, PipPackage


def find_needed_sources(
    settings: Settings, engines: Engines, profile: Profile, *, platform: str
) -> dict[str, str]:
    """Return index or channel to its address, for those that a build of the profile would ask.

    A file in the store or, by its name, in a wheelhouse needs nobody. Without a readable lockfile every index
    of the profile is needed.
    """
    addresses = {DEFAULT_INDEX: engines.default_index} | {index.name: index.url for index in profile.indexes}
    try:
        lock = read_lock(settings.find_lockfile(profile))
        part = lock.find_platform(platform)
    except LockError:
        return addresses
    missing = _Missing(settings, engines)
    needed = {package.index for package in part.pip if missing(package)}
    channels = {_channel_of(package) for package in part.conda if missing(package)}
    return {name: addresses[name] for name in addresses if name in needed} | {
        channel.rsplit("/", 1)[-1]: f"{channel}/{platform}/repodata.json.zst" for channel in sorted(channels)
    }


class _Missing:
    """Tells whether a locked file has to be fetched."""

    def __init__(self, settings: Settings, engines: Engines) -> None:
        root = EnvironmentHome(data=settings.data).store
        self._store = Store(root) if root.is_dir() else None  # asking must not make folders
        self._folders = [
            local_path(place) if place.startswith("file:") else Path(place)
            for place in (*settings.find_links, *engines.packages.find_links)
            if place.startswith("file:") or "://" not in place
        ]

    def __call__(self, package: CondaPackage | PipPackage) -> bool:
        if self._store is not None and self._store.find(package) is not None:
            return False
        wheel = isinstance(package, PipPackage)
        return not (wheel and any((folder / package.filename).is_file() for folder in self._folders))


def _channel_of(package: CondaPackage) -> str:
    return package.url.rsplit("/", 2)[0]
