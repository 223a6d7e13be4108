"""The job of `provision verify`: is every file what was built, and is every stored file what was locked."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from provisioner.engines.archive.member_rules import runs_at_start
from provisioner.engines.store.store import StoreCheck, check_store
from provisioner.errors import InstallError
from provisioner.events import Listener, StageFinished, StageStarted, ignore_events
from provisioner.install.generations import EnvironmentHome, Generation, list_environments
from provisioner.install.in_use import hold_generation
from provisioner.install.verify import Comparison, compare_with_inventory
from provisioner.pipeline.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What was looked at.

    Attributes:
        environments: Every generation with what came of it, or with why it could not be compared.
        broken: Environments without a generation that can be used, each with what is wrong.
        startup: Files that differ and that Python runs at every start.
        store: What came of the stored files.
        seconds: How long it took.
    """

    environments: tuple[tuple[Generation, Comparison | InstallError], ...]
    broken: tuple[tuple[str, InstallError], ...]
    startup: frozenset[str]
    store: StoreCheck
    seconds: float


def verify(
    settings: Settings, name: str | None, *, fast: bool, on_event: Listener = ignore_events
) -> Verified:
    """Compare the files of one environment or all with what was built, and stored files with their digests.

    With a name, the store's files are those that the environment was built of.

    Raises:
        BusyError: Another process is deleting an environment.
        InstallError: The named environment cannot be used.
        UsageError: There is no such environment.
    """
    home = EnvironmentHome(data=settings.data)
    found: Iterable[tuple[str, Generation | InstallError]] = (
        list_environments(home) if name is None else [(name, settings.load_environment(name))]
    )
    started = time.monotonic()
    environments, broken = [], []
    digests = None if name is None else set[str]()
    for each, generation in found:
        if isinstance(generation, InstallError):
            broken.append((each, generation))
            continue
        on_event(StageStarted(stage="verify", detail=each))
        environments.append((generation, verify_generation(home, generation, fast=fast)))
        if digests is not None:
            digests |= {package.sha256 for package in generation.receipt.packages}
    on_event(StageStarted(stage="verify", detail="stored files"))
    store = check_store(home.store, digests=digests, fast=fast)
    seconds = time.monotonic() - started
    on_event(StageFinished(stage="verify", seconds=seconds))
    startup = frozenset(
        each.file
        for _, compared in environments
        if isinstance(compared, Comparison)
        for each in compared.differences
        if runs_at_start(each.file, package="")
    )
    return Verified(
        environments=tuple(environments),
        broken=tuple(broken),
        startup=startup,
        store=store,
        seconds=seconds,
    )


def verify_generation(
    home: EnvironmentHome, generation: Generation, *, fast: bool
) -> Comparison | InstallError:
    """Compare one generation's files with what was built, or return why that cannot be done.

    Raises:
        BusyError: Another process is deleting it.
    """
    command = f"provision verify {generation.receipt.environment}"
    with hold_generation(home, generation, command=command):
        try:
            return compare_with_inventory(generation.prefix, fast=fast)
        except InstallError as error:
            return error
