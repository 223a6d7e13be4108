"""The bench of `provision bisect`: mixtures of two locks are built aside, judged, noted and deleted."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.engines.process.become import find_program
from provisioner.engines.process.run import ProgramTimeoutError, run_program
from provisioner.errors import InstallError, UnvalidatedError, UsageError
from provisioner.events import Listener, Notice
from provisioner.ground.deletion import remove_tree
from provisioner.ground.files import make_private_folder, write_atomically
from provisioner.ground.scratch import find_dead_scratch, hold_scratch
from provisioner.install.activation import apply_activation, find_activation
from provisioner.install.environment_lock import hold_environment
from provisioner.install.generations import Generation
from provisioner.install.in_use import hold_unused
from provisioner.install.plan import InstallPlan
from provisioner.lock.bisect_mix import Mixture
from provisioner.lock.bisect_search import Outcome
from provisioner.lock.model import Lock, LockedPlatform
from provisioner.pipeline.base_python import find_base_python
from provisioner.pipeline.build import build_generation
from provisioner.pipeline.create import plan_profile
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.needs import check_space
from provisioner.pipeline.validate import ValidationChoices, validate_generation
from provisioner.profile.model import Profile
from provisioner.validate.model import Verdict

SCHEMA = "provision.bisect/1"
_CANNOT_TELL = 125  # as for `git bisect run`


@dataclass(frozen=True, kw_only=True, slots=True)
class BisectChoices:
    """What a user may choose about a bisection.

    Attributes:
        profile: The profile; None: that of a lockfile.
        command: What judges a build by its exit code; empty: the validation.
        device: Device to validate on; None: the profile's.
        timeout_s: A command that takes longer is bad.
        gate: Whether a machine without a supported GPU stops an XPU profile.
        restart: Forget what an earlier run has judged.
    """

    profile: str | None = None
    command: tuple[str, ...] = ()
    device: str | None = None
    timeout_s: float = 3600.0
    gate: bool = True
    restart: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One build: which groups of changes it had, what came of it and why."""

    groups: frozenset[int]
    fingerprint: str
    outcome: Outcome
    reason: str
    earlier: bool = False


class Bench:
    """Builds mixtures, judges them, and remembers what came of it."""

    def __init__(
        self,
        profile: Profile,
        mixture: Mixture,
        choices: BisectChoices,
        engines: Engines,
        *,
        env: Mapping[str, str],
        on_event: Listener,
    ) -> None:
        """Plan both ends, and read what an earlier run of the same bisection has judged."""
        self.judged: list[Judged] = []
        self._profile, self._mixture, self._choices = profile, mixture, choices
        self._engines, self._env, self._on_event = engines, env, on_event
        self._name = "bisect"  # which decides nothing of a plan's fingerprint
        ends = [self._plan(mixture.good).fingerprint, self._plan(mixture.bad).fingerprint]
        asked = [choices.command, choices.device, choices.timeout_s, repr(profile.validation)]
        key = hashlib.sha256(json.dumps([ends, asked]).encode()).hexdigest()[:16]
        self._folder = engines.home.cache / "bisect"
        self._notes = self._folder / f"{key}.json"
        self._name = f"bisect-{key}"
        self._known = {} if choices.restart else self._read_notes()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep others from the same bisection, and delete what a killed one has left."""
        make_private_folder(self._engines.home.cache)
        make_private_folder(self._folder)
        command = f"provision bisect {self._profile.name}"
        with hold_environment(self._engines.home, self._name, command=command, on_event=self._on_event):
            for folder in find_dead_scratch(self._folder):
                remove_tree(folder)
            yield

    def judge(self, groups: frozenset[int]) -> Outcome:
        """Return what a build with these groups of changes comes to."""
        plan = self._plan(self._mixture.mix(groups))
        known = self._known.get(plan.fingerprint)
        if known is not None:
            outcome, reason = known
        else:
            step = len(self.judged) + 1
            message = f"build {step}: {len(groups)} of {len(self._mixture.groups)} groups of changes"
            self._on_event(Notice(message=message))
            outcome, reason = self._build_and_judge(plan, mixed=0 < len(groups) < len(self._mixture.groups))
            self._known[plan.fingerprint] = (outcome, reason)
            notes = {name: [what.value, why] for name, (what, why) in self._known.items()}
            write_atomically(self._notes, json.dumps({"schema": SCHEMA, "judged": notes}) + "\n")
        self._on_event(Notice(message=f"{outcome.value}: {reason}"))
        self.judged.append(
            Judged(
                groups=groups,
                fingerprint=plan.fingerprint,
                outcome=outcome,
                reason=reason,
                earlier=known is not None,
            )
        )
        return outcome

    def _plan(self, part: LockedPlatform) -> InstallPlan:
        lock = Lock(profile=self._profile.name, source="", platforms=(part,))
        return plan_profile(
            lock, self._profile, platform=part.platform, name=self._name, env=self._env, sources={}
        )

    def _build_and_judge(self, plan: InstallPlan, *, mixed: bool) -> tuple[Outcome, str]:
        engines = self._engines
        with hold_scratch("bisect", parent=self._folder) as scratch:
            folder = scratch / self._name / "generations"
            folder.mkdir(parents=True)
            prefix = folder / f"1-{plan.fingerprint[:8]}"
            check_space(plan, engines)
            interpreter = find_base_python(plan, engines, managed=False)
            try:
                receipt = build_generation(
                    plan, prefix, engines=engines.build, interpreter=interpreter, on_event=self._on_event
                )
            except InstallError as error:
                if not mixed:
                    raise
                return Outcome.SKIP, f"it cannot be built: {error.message}"
            built = Generation(number=1, prefix=prefix, receipt=receipt, new=True)
            outcome = self._run(built) if self._choices.command else self._validate(built)
            with hold_unused(engines.home, [prefix]):
                remove_tree(prefix)
            return outcome

    def _validate(self, built: Generation) -> tuple[Outcome, str]:
        report = validate_generation(
            built,
            self._profile,
            self._engines,
            choices=ValidationChoices(device=self._choices.device),
            on_event=self._on_event,
        )
        if report.verdict is Verdict.UNVALIDATED:
            raise UnvalidatedError(
                f"validate.{report.code or 'unvalidated'}",
                f"a build of `{self._profile.name}` could not be validated here: {report.reason}",
                hints=report.hints or ("judge builds by a program: `provision bisect GOOD BAD -- PROGRAM`",),
            )
        if report.verdict is Verdict.PASSED:
            return Outcome.GOOD, "it passed its validation"
        return Outcome.BAD, f"it failed at `{report.stage}`: {report.reason}"

    def _run(self, built: Generation) -> tuple[Outcome, str]:
        windows = built.receipt.platform.startswith("win")
        variables = apply_activation(find_activation(built), self._engines.settings.environ, windows=windows)
        words = self._choices.command
        program = find_program(words[0], variables)
        if program is None:
            raise UsageError(
                "usage.no_program",
                f"there is no program `{words[0]}` in the builds of `{self._profile.name}`, nor on `PATH`",
                hints=["name a program of the environment, or one on `PATH`"],
            )
        try:
            done = run_program(
                [program, *words[1:]], env=variables, cwd=Path.cwd(), timeout_s=self._choices.timeout_s
            )
        except ProgramTimeoutError as error:
            return Outcome.BAD, f"it did not end within {error.timeout_s:g} s"
        if done.exit_code == 0:
            return Outcome.GOOD, "exit code 0"
        last = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2][:200]
        reason = f"exit code {done.exit_code}" + (f": {last}" if last else "")
        return (Outcome.SKIP if done.exit_code == _CANNOT_TELL else Outcome.BAD), reason

    def _read_notes(self) -> dict[str, tuple[Outcome, str]]:
        """Return what earlier runs have judged; notes that cannot be read are none."""
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            if notes["schema"] == SCHEMA:
                return {name: (Outcome(what), str(why)) for name, (what, why) in notes["judged"].items()}
        return {}
