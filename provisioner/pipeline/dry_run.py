"""The job of `provision create --dry-run`: gate, plan, ledger, and what a build would fetch and change."""

from dataclasses import dataclass, replace

from provisioner.errors import InstallError, LockError
from provisioner.events import Listener
from provisioner.install.generations import EnvironmentHome, find_environment
from provisioner.install.transaction import find_current
from provisioner.lock.diff import LockDiff, diff_locks
from provisioner.lock.file import read_lock
from provisioner.lock.model import Lock
from provisioner.pipeline.create import (
    CreateChoices,
    describe_changes,
    describe_replaced,
    find_state,
    pass_gate,
    plan_environment,
)
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.gate import judge_stack
from provisioner.pipeline.needs import Preview, preview
from provisioner.pipeline.rollback import read_kept_lock
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import Profile


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun:
    """What `create` would do.

    Attributes:
        up_to_date: Whether nothing would be built.
        changed: Files of the environment that look edited since it was built; empty where it would be built.
        validate: Device on which an environment that is built already would be validated; None: on none.
        seen: What a build would fetch.
        changes: What the lock changes for this platform, compared with the one that the current generation
            was built from; every package is added where there is none, or it keeps no lock.
    """

    up_to_date: bool
    changed: tuple[str, ...]
    validate: str | None
    seen: Preview
    changes: LockDiff


def preview_create(
    settings: Settings, profile: Profile, choices: CreateChoices, *, on_event: Listener
) -> DryRun:
    """Tell what `create` would do; nothing is made, and no host is asked."""
    gpu = pass_gate(settings, profile, choices)
    try:
        plan = plan_environment(settings, profile, name=choices.name, gpu=gpu)
    except LockError as error:
        if choices.lock and error.code in {"lock.missing", "lock.stale"}:
            error.hints = (f"run `provision lock {profile.name}` before: `--dry-run` resolves nothing",)
        raise
    lock = read_lock(settings.find_lockfile(profile))
    lock = replace(lock, platforms=(lock.find_platform(plan.platform),))
    with Engines(settings) as engines:
        current = None if choices.rebuild else find_current(engines.home, plan)
        if current is None:
            if told := describe_replaced(settings, plan):
                on_event(told)
            judge_stack(
                settings, profile, plan, device=choices.device, enforce=choices.gate, on_event=on_event
            )
        _, changed, proven = find_state(current, profile, choices) if current else (None, (), True)
        if changed:
            on_event(describe_changes(plan.environment, changed))
        return DryRun(
            up_to_date=current is not None,
            changed=changed,
            validate=None if proven or not choices.validate else choices.device or profile.device.value,
            seen=preview(plan, engines),
            changes=diff_locks(_find_built_lock(engines.home, plan.environment), lock),
        )


def _find_built_lock(home: EnvironmentHome, name: str) -> Lock | None:
    """Return this machine's part of the lock that the environment was built from; None: there is none."""
    try:
        generation = find_environment(home, name)
    except InstallError:  # it is damaged, and would be built anew
        return None
    return read_kept_lock(generation) if generation else None
