"""The job of `provision create`, from top to bottom.

gate -> lock if asked -> plan -> ledger -> fetch, build, switch -> validate -> verdict
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.errors import InstallError, LockError
from provisioner.events import Listener, Notice
from provisioner.install.generations import EnvironmentHome, Generation, find_environment, matches_plan
from provisioner.install.launchers import mend_stable
from provisioner.install.plan import InstallPlan, plan_install
from provisioner.install.receipt import Receipt
from provisioner.install.snapshot import find_changed
from provisioner.install.stable_path import is_stable
from provisioner.install.tools import Tools
from provisioner.install.transaction import find_current, install_environment
from provisioner.lock.file import read_lock
from provisioner.lock.freshness import check_freshness
from provisioner.lock.model import Lock
from provisioner.pipeline.integrate import check_tools
from provisioner.pipeline.reports import find_model, is_proven, read_report
from provisioner.pipeline.settings import Settings, builtin_folder, host_platform
from provisioner.profile.model import Device, Platform, Profile
from provisioner.validate.model import Report

if TYPE_CHECKING:  # 10 ms that a create with nothing to do saves
    from provisioner.diagnose.failures.answer import Match


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateChoices:
    """What a user may choose about building an environment.

    Attributes:
        name: Name of the environment; None: the profile's.
        device: Device to validate on; None: the profile's.
        width: Run the layers of production size; None: on a GPU only.
        validate: Whether to validate.
        gate: Whether a machine without a supported GPU stops an XPU profile.
        rebuild: Build anew although the environment is up to date.
        lock: Lock first where the lockfile is missing or stale.
        managed_python: Make a virtual environment of the managed Python that is brought along.
        tools: What will be told of the environment; what they need is asked before anything is fetched.
        lock_timeout_s: How long to wait for another process that works on the environment.
    """

    name: str | None = None
    device: str | None = None
    width: bool | None = None
    validate: bool = True
    gate: bool = True
    rebuild: bool = False
    lock: bool = False
    managed_python: bool = False
    tools: Tools | None = None
    lock_timeout_s: float = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Created:
    """An environment that is there.

    Attributes:
        report: Of its last validation on the device that was asked for; None where there was none.
        elsewhere: Of the last one on a device that the profile is not for, where there is no ``report``.
        matches: Known failures in the report, the root first.
        up_to_date: Whether there was nothing to do, after a repair: to prove; the report is an earlier one.
    """

    profile: Profile
    generation: Generation
    report: Report | None
    elsewhere: Report | None = None
    matches: "tuple[Match, ...]" = ()
    up_to_date: bool = False


def create(settings: Settings, profile: Profile, choices: CreateChoices, *, on_event: Listener) -> Created:
    """Build a profile's environment unless it is there, and validate it unless it is proven.

    Raises:
        InstallError: The build failed; the environment that worked before still works.
        LockError: The lockfile is missing, stale, damaged, or for another platform.
        UnvalidatedError: There is no GPU that the environment could be validated on, or this card, driver and
            lock are known to fail.
    """
    gpu = pass_gate(settings, profile, choices)
    if choices.validate:
        find_model(profile)  # before a byte is fetched for what could not be proven
    if choices.lock:
        _lock(settings, profile, on_event=on_event)
    plan = plan_environment(settings, profile, name=choices.name, gpu=gpu)
    if choices.tools is not None:
        check_tools(choices.tools, profile, [package.name for package in plan.installed])
    done = None if choices.rebuild else _find_done(settings, profile, plan, choices, on_event=on_event)
    if done is not None:
        return done

    if told := describe_replaced(settings, plan):
        on_event(told)
    from provisioner.pipeline import (  # noqa: PLC0415 - 0.1 s that a run with nothing to do saves
        base_python,
        build,
        bytecode,
        engines,
        evidence,
        gate,
        needs,
        validate,
    )

    gate.judge_stack(settings, profile, plan, device=choices.device, enforce=choices.gate, on_event=on_event)
    evidence.tell_proof(settings, profile, plan, on_event=on_event)
    with engines.Engines(settings, on_event=on_event) as at_hand:
        interpreter = base_python.find_base_python(plan, at_hand, managed=choices.managed_python)

        def build_at(prefix: Path) -> Receipt:
            needs.check_space(plan, at_hand)
            return build.build_generation(
                plan, prefix, engines=at_hand.build, interpreter=interpreter, on_event=on_event
            )

        generation = install_environment(
            plan,
            home=at_hand.home,
            build=build_at,
            rebuild=choices.rebuild,
            lock_timeout_s=choices.lock_timeout_s,
            command=f"provision create {plan.profile}",
            on_event=on_event,
        )
        untouched = not generation.new and not find_changed(generation.prefix)
        report = _read_asked(generation, profile, choices) if untouched else None
        if choices.validate and not _is_proven(report, profile, choices):
            asked = validate.ValidationChoices(device=choices.device, width=choices.width)
            report = validate.validate_generation(
                generation, profile, at_hand, choices=asked, on_event=on_event
            )
            if generation.new:  # nobody has edited it yet
                bytecode.keep_bytecode(generation, plan, at_hand.build, on_event=on_event)
    return Created(
        profile=profile,
        generation=generation,
        report=report,
        elsewhere=None if report else read_report(generation, other=True),
        matches=validate.recognise_report(report) if report else (),
    )


def pass_gate(settings: Settings, profile: Profile, choices: CreateChoices) -> str | None:
    """Return the class of this machine's GPU as an XPU profile names it; a CPU profile asks for none."""
    if profile.device is not Device.XPU:
        return None
    from provisioner.pipeline.gate import judge_machine  # noqa: PLC0415 - 60 ms that a CPU profile saves

    return judge_machine(settings, profile, enforce=choices.gate and choices.device != "cpu")


def _lock(settings: Settings, profile: Profile, *, on_event: Listener) -> None:
    from provisioner.pipeline.lock import lock_if_stale  # noqa: PLC0415 - the solvers, which most builds save

    lock_if_stale(settings, profile, on_event=on_event)


def plan_environment(
    settings: Settings, profile: Profile, *, name: str | None, gpu: str | None
) -> InstallPlan:
    """Return what to build from a fresh lockfile."""
    path = settings.find_lockfile(profile)
    try:
        lock = read_lock(path)
        stale = check_freshness(lock, profile, lockfile=str(path))
        if stale is not None:
            raise stale
    except LockError as error:
        if error.code in {"lock.missing", "lock.stale"}:
            error.hints = (f"run `provision create {profile.name} --lock`, which locks it first",)
        raise
    plan = plan_profile(
        lock,
        profile,
        platform=host_platform(),
        name=name,
        env=find_variables(profile, gpu),
        sources={
            **{f"envs/{Path(file).name}": Path(file) for file in profile.files},
            f"lockfiles/{path.name}": path,
        },
    )
    own = Path(profile.file).absolute()
    return plan if own.parent == builtin_folder("envs") else replace(plan, source=str(own))


def plan_profile(
    lock: Lock,
    profile: Profile,
    *,
    platform: str,
    name: str | None,
    env: Mapping[str, str],
    sources: Mapping[str, Path],
) -> InstallPlan:
    """Return what to build of a profile and its lock, whether that is fresh or not; see `plan_install`."""
    return plan_install(
        lock,
        platform=platform,
        python=profile.python,
        environment=name,
        env=env,
        startup={each.requirement: each.reason for each in _find_platform(profile, platform).startup},
        sources=sources,
    )


def find_variables(profile: Profile, gpu: str | None) -> dict[str, str]:
    """Return the environment variables that a profile wants on this machine, with this class of GPU."""
    wanted = _find_platform(profile, host_platform())
    return {**wanted.env, **wanted.env_by_gpu.get(gpu or "", {})}


def _find_platform(profile: Profile, name: str) -> Platform:
    return next((each for each in profile.platforms if each.name == name), Platform(name=name))


def _find_done(
    settings: Settings, profile: Profile, plan: InstallPlan, choices: CreateChoices, *, on_event: Listener
) -> Created | None:
    """Return the environment where nothing is left to do; None where something is."""
    home = EnvironmentHome(data=settings.data)
    generation = find_current(home, plan)
    if generation is None:
        return None
    if not is_stable(generation):  # built by an older version, or killed between two steps
        mend_stable(home, plan.environment)
    report, changed, proven = find_state(generation, profile, choices)
    if changed:
        on_event(describe_changes(plan.environment, changed))
    if not proven and (choices.validate or report is not None):
        return None
    elsewhere = None if report else read_report(generation, other=True)
    return Created(
        profile=profile, generation=generation, report=report, elsewhere=elsewhere, up_to_date=proven
    )


def find_state(
    generation: Generation, profile: Profile, choices: CreateChoices
) -> tuple[Report | None, tuple[str, ...], bool]:
    """Return the report on the device that is asked for, what changed since the build, whether it is proven.

    Files are looked at by size and time, as `verify --fast` does; none is read.
    """
    report = _read_asked(generation, profile, choices)
    changed = tuple(find_changed(generation.prefix))
    return report, changed, _is_proven(report, profile, choices) and not changed


def describe_changes(name: str, changed: Sequence[str]) -> Notice:
    """Return the warning about files that are not as they were built."""
    listed = ", ".join(f"`{each}`" for each in changed[:3])
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    message = (
        f"`{name}` was changed since it was built: {listed}{more};"
        f" `provision repair {name}` puts its files back"
    )
    return Notice(message=message, level="warning")


def describe_replaced(settings: Settings, plan: InstallPlan) -> Notice | None:
    """Return the warning that what would be built replaces what another profile built; None: it does not.

    A profile that has moved, and so is where it was no more, is no other one.
    """
    try:
        current = find_environment(EnvironmentHome(data=settings.data), plan.environment)
        if current is None or matches_plan(current, plan) or not (plan.source and current.receipt.source):
            return None
        if Path(current.receipt.source).samefile(plan.source):
            return None
    except (InstallError, OSError):  # damaged, or gone
        return None
    name = plan.environment
    message = (
        f"the environment `{name}` is of another profile, `{current.receipt.source}`, and is replaced;"
        f" `--name OTHER` leaves it, and `provision rollback {name}` brings it back"
    )
    return Notice(message=message, level="warning")


def _is_proven(report: Report | None, profile: Profile, choices: CreateChoices) -> bool:
    """Tell whether a report shows what is asked for; a width is always shown anew."""
    if choices.width is not None or not is_proven(report, profile):
        return False
    return choices.device is None or (report is not None and choices.device == report.device.get("asked"))


def _read_asked(generation: Generation, profile: Profile, choices: CreateChoices) -> Report | None:
    """Return the last report on the kind of device that is asked for, the profile's where none is."""
    kind = (choices.device or profile.device.value).partition(":")[0]
    return read_report(generation, other=kind != profile.device.value)
