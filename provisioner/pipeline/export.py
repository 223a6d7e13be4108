"""The jobs of `provision export` and `provision lock --verify-urls`, which need the files' addresses."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from provisioner.engines.index.files import IndexFiles
from provisioner.engines.net.download import Downloader
from provisioner.errors import InstallError, ProvisionError, UnavailableError, UsageError
from provisioner.lock.dockerfile import Container, ContainerForm, format_container
from provisioner.lock.export import Format, export_lock
from provisioner.lock.file import read_lock
from provisioner.lock.verify_urls import HeadAnswer, judge_answer, plan_file_checks
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.locked_files import read_fresh_lock
from provisioner.pipeline.settings import Settings, host_platform
from provisioner.profile.model import Device, Profile
from provisioner.resolve.model import PipPackage

_JOBS = 8
LINUX = "linux-64"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What became of one lockfile's files: how many were asked for, and what is wrong with some."""

    profile: str
    files: int
    problems: tuple[ProvisionError, ...]


def export(
    settings: Settings, profile: Profile, form: Format, *, platforms: Collection[str] = ()
) -> Mapping[str, str]:
    """Return a lockfile in another tool's format: file names and texts.

    Without ``platforms`` it is this machine's, where the lock has it; conda-lock's format holds all.
    """
    lock = read_lock(settings.find_lockfile(profile))
    here = host_platform()
    if form is not Format.CONDA_LOCK and here in {each.platform for each in lock.platforms}:
        platforms = platforms or (here,)
    with Engines(settings) as engines:
        files = _index_files(engines)
        return export_lock(
            lock,
            form,
            absolute=lambda package: files.find_in_default_index(package).url,
            platforms=platforms,
        )


def export_container(
    settings: Settings, profile: Profile, form: ContainerForm, *, platforms: Collection[str] = ()
) -> Mapping[str, str]:
    """Return what a container of a profile's environment is built with: file names and texts.

    Raises:
        LockError: The lockfile is missing, stale or damaged, or has nothing for Linux.
        UsageError: Another platform was asked for.
    """
    if set(platforms) - {LINUX}:
        raise UsageError("usage.export", f"`--format {form}` is for Linux", hints=["leave out `--platform`"])
    part = read_fresh_lock(settings, profile).find_platform(LINUX)
    lockfile = settings.find_lockfile(profile)
    container = Container(
        profile=profile.name,
        python=".".join(profile.python.split(".")[:2]),
        conda=bool(part.conda),
        xpu=profile.device is Device.XPU,
        lock_sha256=sha256(lockfile.read_bytes()).hexdigest(),
    )
    return format_container(container, form)


def verify_urls(settings: Settings, profiles: Sequence[Profile]) -> tuple[Verified, ...]:
    """Ask for every file of the lockfiles and report those that are gone, refused or replaced."""
    with Engines(settings) as engines:
        files = _index_files(engines)
        return tuple(_verify(settings, profile, engines.downloader, files) for profile in profiles)


def _index_files(engines: Engines) -> IndexFiles:
    return IndexFiles(engines.downloader, engines.packages)


def _verify(settings: Settings, profile: Profile, downloader: Downloader, files: IndexFiles) -> Verified:
    missing: list[ProvisionError] = []

    def absolute(package: PipPackage) -> str:
        try:
            return files.find_in_default_index(package).url
        except (InstallError, UnavailableError) as error:
            missing.append(error)
            return ""

    lock = read_lock(settings.find_lockfile(profile))
    checks = [check for check in plan_file_checks(lock, absolute=absolute) if check.url]
    with ThreadPoolExecutor(max_workers=_JOBS) as pool:
        judged = list(pool.map(lambda check: judge_answer(check, _ask(downloader, check.url)), checks))
    found = (error for error in judged if error is not None)
    return Verified(profile=profile.name, files=len(checks) + len(missing), problems=(*missing, *found))


def _ask(downloader: Downloader, url: str) -> HeadAnswer:
    try:
        reply = downloader.head(url)
    except UnavailableError as error:
        status = error.context.get("status")
        return HeadAnswer(status=status if isinstance(status, int) else None, problem=error.message)
    return HeadAnswer(status=reply.status, headers=reply.headers)
