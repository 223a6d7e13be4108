"""The job of `provision lock --verify-attestations`: is every attested file its publisher's?"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from provisioner.engines.index.files import IndexFiles
from provisioner.engines.index.provenance import PROVENANCE_TYPE
from provisioner.errors import InstallError, ProvisionError, UsageError
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.lock.file import read_lock
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import Profile
from provisioner.resolve.model import PipPackage

_JOBS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Attested:
    """What became of one lockfile's attestations.

    Attributes:
        profile: The profile's name.
        publishers: File name to publisher, of files whose attestations hold.
        silent: Names of files that nobody attests: wheels whose index says nothing, and conda packages.
        problems: What does not hold or could not be looked at.
    """

    profile: str
    publishers: dict[str, str]
    silent: tuple[str, ...]
    problems: tuple[ProvisionError, ...]


def verify_attestations(settings: Settings, profiles: Sequence[Profile]) -> tuple[Attested, ...]:
    """Check the attestations of every locked file; no file is fetched: the digests are in the lock.

    Raises:
        UsageError: ``usage.no_attestations``: the library is not installed.
        LockError: A profile has no lockfile that can be read.
    """
    try:
        from provisioner.engines.index.attestations import check_attestations  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            "usage.no_attestations",
            f"attestations cannot be checked: the module `{error.name}` is not installed",
            hints=[
                "run `pip install 'provision-arc[attestations]'`",
                "in a checkout run `pip install '.[attestations]'`",
            ],
        ) from error
    with Engines(settings) as engines:
        files = IndexFiles(engines.downloader, engines.packages)
        check = partial(_check, check_attestations, engines=engines, files=files)
        return tuple(_verify(settings, profile, engines, check) for profile in profiles)


def _verify(
    settings: Settings, profile: Profile, engines: Engines, check: Callable[..., str | ProvisionError | None]
) -> Attested:
    lock = read_lock(settings.find_lockfile(profile))
    addresses = {**lock.indexes, DEFAULT_INDEX: engines.default_index}
    # A file of both platforms is one file.
    wheels = {(wheel.filename, wheel.index): wheel for part in lock.platforms for wheel in part.pip}
    check = partial(check, addresses=addresses)
    with ThreadPoolExecutor(max_workers=_JOBS) as pool:
        found = dict(zip(wheels, pool.map(check, wheels.values()), strict=True))
    conda = {package.filename for part in lock.platforms for package in part.conda}
    return Attested(
        profile=profile.name,
        publishers={name: each for (name, _), each in sorted(found.items()) if isinstance(each, str)},
        silent=(*sorted(name for (name, _), each in found.items() if each is None), *sorted(conda)),
        problems=tuple(
            each for _, each in sorted(found.items(), key=itemgetter(0)) if isinstance(each, ProvisionError)
        ),
    )


def _check(
    attest: Callable[..., str],
    wheel: PipPackage,
    *,
    engines: Engines,
    files: IndexFiles,
    addresses: dict[str, str],
) -> str | ProvisionError | None:
    """Return a file's publisher, None where nobody attests it, or what is wrong."""
    try:
        file = (
            files.find_in_default_index(wheel)
            if wheel.index == DEFAULT_INDEX
            else files.find_in_index(addresses[wheel.index], wheel)
        )
        if file is None or file.provenance is None:
            return None if wheel.publisher is None else _other_publisher(wheel, None)
        body = engines.downloader.get(file.provenance, accept=PROVENANCE_TYPE).body
        publisher = attest(body, filename=wheel.filename, sha256=wheel.sha256)
    except ProvisionError as error:
        return error
    if wheel.publisher not in {None, publisher}:
        return _other_publisher(wheel, publisher)
    return publisher


def _other_publisher(wheel: PipPackage, found: str | None) -> InstallError:
    now = f"`{found}`" if found else "nobody"
    return InstallError(
        "install.publisher",
        f"`{wheel.filename}` was locked as published by `{wheel.publisher}`, and {now} attests it now",
        hints=[
            "find out why before installing: the index may be another one than when it was locked",
            "lock again with `provision lock` if the change is wanted",
        ],
        context={"filename": wheel.filename, "locked": wheel.publisher, "found": found},
    )
