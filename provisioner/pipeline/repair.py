"""The job of `provision repair`: put back what is not as it was built.

compare -> nothing, or: second build of the packages concerned -> files put back -> compare again -> validate
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from provisioner.errors import InstallError, ProvisionError
from provisioner.events import Listener, Notice
from provisioner.ground.refusals import disk_error
from provisioner.ground.text import count_of
from provisioner.install.environment_lock import hold_environment
from provisioner.install.generations import Generation
from provisioner.install.in_use import hold_unused
from provisioner.install.inventory import BuiltFile, load_inventory
from provisioner.install.plan import InstallPlan
from provisioner.install.removal import remove_leftovers
from provisioner.install.restore import hold_second, needs_source, restore_files
from provisioner.install.snapshot import keep_snapshot
from provisioner.install.verify import Difference, compare_files
from provisioner.lock.file import SUFFIX, read_lock
from provisioner.pipeline.base_python import find_base_python
from provisioner.pipeline.build import build_packages
from provisioner.pipeline.create import CreateChoices, Created, create, plan_profile
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.needs import check_space
from provisioner.pipeline.reports import forget_failures, read_report
from provisioner.pipeline.settings import Settings
from provisioner.pipeline.validate import ValidationChoices, recognise_report, validate_generation
from provisioner.profile.load import load_profile
from provisioner.profile.model import Profile


class _UnrepairableError(Exception):
    """Files cannot be put back one by one; the message says why."""


def repair(
    settings: Settings, name: str, choices: CreateChoices, *, on_event: Listener
) -> tuple[Created, tuple[Difference, ...]]:
    """Put an environment's files back as they were built, or build it anew where that fails; validate it.

    Returns:
        The environment, and the files that were put back; none for one that was built anew.

    Raises:
        BusyError: Another process works on the environment, or uses it.
        InstallError: A build failed.
        UnavailableError: A file could not be had.
        UsageError: There is no such environment.
    """
    try:
        generation = settings.load_environment(name)
    except InstallError:
        # Its receipt is what is damaged; most environments have their profile's name.
        return create(settings, settings.load_profile(name), _anew(choices), on_event=on_event), ()
    profile = settings.load_profile_of(generation)
    if choices.rebuild:
        return create(settings, profile, _anew(choices), on_event=on_event), ()
    with Engines(settings, on_event=on_event) as engines:
        try:
            restored = _restore(generation, engines, choices, on_event=on_event)
        except _UnrepairableError as why:
            on_event(Notice(message=f"`{name}` is built anew: {why}", level="warning"))
        else:
            return _finish(generation, profile, engines, choices, on_event=on_event), restored
    return create(settings, profile, _anew(choices), on_event=on_event), ()


def _anew(choices: CreateChoices) -> CreateChoices:
    return dataclasses.replace(choices, rebuild=True)


def _finish(
    generation: Generation, profile: Profile, engines: Engines, choices: CreateChoices, *, on_event: Listener
) -> Created:
    report = read_report(generation)
    if choices.validate:
        asked = ValidationChoices(device=choices.device, width=choices.width)
        report = validate_generation(generation, profile, engines, choices=asked, on_event=on_event)
    matches = recognise_report(report) if report else ()
    return Created(
        profile=profile,
        generation=generation,
        report=report,
        elsewhere=None if report else read_report(generation, other=True),
        matches=matches,
        up_to_date=report is not None and not choices.validate,
    )


def _restore(
    generation: Generation, engines: Engines, choices: CreateChoices, *, on_event: Listener
) -> tuple[Difference, ...]:
    name, prefix, home = generation.receipt.environment, generation.prefix, engines.home
    command = f"provision repair {name}"
    with (
        hold_environment(home, name, timeout_s=choices.lock_timeout_s, command=command, on_event=on_event),
        hold_unused(home, [prefix]),
    ):
        try:
            inventory = load_inventory(prefix)
        except InstallError as error:
            raise _UnrepairableError(error.message) from error
        compared = compare_files(prefix, inventory, fast=False)
        if not compared.differences:
            on_event(
                Notice(
                    message=f"`{name}`: {count_of(compared.files, 'file')} as built;"
                    f" `provision repair {name} --rebuild` builds it again from the profile's lock"
                )
            )
            return ()
        forget_failures(generation)
        remove_leftovers(home, name)
        try:
            with hold_second(prefix) as source:
                _build_second(generation, source, compared.differences, inventory, engines, on_event=on_event)
                failed = restore_files(prefix, compared.differences, inventory, source=source)
        except OSError as error:
            raise disk_error(prefix, error) from error
        if failed or compare_files(prefix, inventory, fast=True).differences:
            named = f"`{failed[0]}` cannot" if failed else "its files cannot"
            raise _UnrepairableError(f"{named} be made as it was built")
        keep_snapshot(prefix)
        return compared.differences


def _build_second(
    generation: Generation,
    source: Path,
    differences: Sequence[Difference],
    inventory: Mapping[str, BuiltFile],
    engines: Engines,
    *,
    on_event: Listener,
) -> None:
    """Build the packages again whose files are missing or another, in a folder that is no environment."""
    wanted = [each for each in differences if needs_source(each, inventory)]
    if not wanted:
        return
    plan = _plan_again(generation)
    names = {each.package for each in wanted if each.origin == "RECORD"}
    wheels = [package for package in plan.wheels if package.name in names]
    if any(not package.filename.endswith(".whl") for package in wheels):
        wheels = list(plan.wheels)  # which build it
    plan = dataclasses.replace(plan, wheels=tuple(wheels), assets=())
    interpreter = find_base_python(plan, engines, managed=False)
    check_space(plan, engines)
    build_packages(plan, source, engines=engines.build, interpreter=interpreter, on_event=on_event)


def _plan_again(generation: Generation) -> InstallPlan:
    """Return the plan that the generation was built of, from the profile and the lockfile that it keeps."""
    receipt = generation.receipt
    try:
        profile = load_profile(receipt.profile, folders=(generation.record / "envs",))
        plan = plan_profile(
            read_lock(generation.record / "lockfiles" / f"{receipt.profile}{SUFFIX}"),
            profile,
            platform=receipt.platform,
            name=receipt.environment,
            env=receipt.env,
            sources={},
        )
    except ProvisionError as error:
        raise _UnrepairableError(
            f"the lock that it was built from cannot be read: {error.message}"
        ) from error
    if plan.fingerprint != receipt.fingerprint:
        raise _UnrepairableError("the lock that it keeps is not the one that it was built from")
    return plan
