"""``provision create``: build the locked environment of a profile and prove it with a real model."""

from typing import Any

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings, host_platform
from provisioner.errors import ExitCode, ProvisionError
from provisioner.install.home import EnvironmentHome, Generation
from provisioner.profile.load import load_profile
from provisioner.profile.model import Device, Profile


@click.command("create")
@click.argument("profile_name", metavar="PROFILE")
@flag("--name", metavar="ENVIRONMENT", help="Name of the environment; the profile's by default.")
@flag("--device", metavar="DEVICE", help="Validate on this device: cpu, xpu, xpu:1.")
@flag("--width/--no-width", default=None, help="Also run layers of the real model's size (default on a GPU).")
@flag("--no-validate", is_flag=True, help="Build only; the environment stays unvalidated.")
@flag("--no-gate", is_flag=True, help="Build an XPU profile although no supported GPU is seen.")
@flag("--rebuild", is_flag=True, help="Build anew although the environment is up to date.")
@flag(
    "--lock",
    "lock_first",
    is_flag=True,
    help="Resolve and write the lockfile first if it is missing or stale.",
)
@flag(
    "--lock-timeout",
    type=float,
    default=300.0,
    show_default=True,
    help="Seconds to wait for another process.",
)
@settings_flags
def command(
    *,
    settings: Settings,
    profile_name: str,
    name: str | None,
    device: str | None,
    width: bool | None,
    no_validate: bool,
    no_gate: bool,
    rebuild: bool,
    lock_first: bool,
    lock_timeout: float,
    as_json: bool,
) -> Result:
    """Build the locked environment of PROFILE and prove it with a real model.

    With nothing to do it says so and touches nothing.
    """
    from provisioner.pipeline import ValidationChoices, create_environment, plan_environment, read_report  # noqa: PLC0415 - `create --help` stays fast

    del as_json
    profile = load_profile(profile_name, folders=settings.profile_folders)
    home = EnvironmentHome(data=settings.data)
    platform = host_platform()
    from provisioner.render.progress import show_progress  # noqa: PLC0415 - after the profile is known to be good

    with show_progress(settings.environ) as listener:
        if lock_first:
            _lock_if_stale(settings, profile, listener)
        from provisioner.cli.gate import pass_gate  # noqa: PLC0415 - only GPU profiles judge the machine

        gpu = pass_gate(settings, profile, platform=platform, enforce=not no_gate and device != "cpu")
        plan = plan_environment(
            profile,
            folder=settings.find_lockfile_folder(profile.file),
            platform=platform,
            name=name,
            gpu=gpu,
        )
        from provisioner.cli.build import LazyEngines  # noqa: PLC0415 - a no-op create builds none of it

        engines = LazyEngines(settings, on_event=listener)
        generation = create_environment(
            plan,
            home=home,
            engines=engines.install,
            rebuild=rebuild,
            lock_timeout_s=lock_timeout,
            on_event=listener,
        )
        report = None if generation.new else read_report(generation)
        choices = ValidationChoices(device=device, width=width)
        done = report is not None and report.verdict.value == "passed" and device is None and width is None
        if not no_validate and not done:
            report = engines.validate(generation, profile, home=home, choices=choices)
        engines.close()
    from provisioner.render.verdict import describe_environment, exit_code_of, report_errors  # noqa: PLC0415 - last

    data: dict[str, Any] = {
        **_environment_data(profile, generation),
        "up_to_date": not generation.new and done,
        "report": report.as_json() if report else None,
        "verdict": report.verdict.value if report else "unvalidated",
        **(_summary(report) if report else {}),
    }
    errors: tuple[ProvisionError, ...] = report_errors(report) if report else ()
    code = exit_code_of(report) if report else ExitCode.OK
    text = describe_environment(profile, generation, report, new=generation.new or not done)
    return Result(data=data, text=text, exit_code=code, errors=errors)


def _environment_data(profile: Profile, generation: Generation) -> dict[str, Any]:
    receipt = generation.receipt
    return {
        "environment": receipt.environment,
        "profile": profile.name,
        "prefix": str(generation.prefix),
        "python": str(generation.python),
        "generation": generation.number,
        "platform": receipt.platform,
        "fingerprint": receipt.fingerprint,
        "packages": {
            kind: sum(package.kind == kind for package in receipt.packages)
            for kind in ("conda", "wheel", "asset")
        },
        "upstream": {"state": profile.upstream.state.value, "since": profile.upstream.since},
    }


def _summary(report: Any) -> dict[str, Any]:
    from provisioner.render.verdict import summarise_report  # noqa: PLC0415 - with its only caller

    return summarise_report(report)


def _lock_if_stale(settings: Settings, profile: Profile, listener: Any) -> None:
    from provisioner.errors import LockError  # noqa: PLC0415 - with `--lock` only
    from provisioner.pipeline import check_lock, lock_profile  # noqa: PLC0415 - the same

    try:
        stale = check_lock(profile, folder=settings.find_lockfile_folder(profile.file)) is not None
    except LockError:
        stale = True
    if stale:
        from provisioner.cli.wiring import Engines  # noqa: PLC0415 - the same

        engines = Engines(settings, on_event=listener)
        lock_profile(
            profile,
            folder=settings.choose_lockfile_folder(profile.file),
            conda=engines.conda_solver,
            pip=engines.pip_solver(profile),
            on_event=listener,
        )
        engines.close()


__all__ = ["Device", "command"]
