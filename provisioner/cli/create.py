"""``provision create``: build the locked environment of a profile and prove it with a real model."""

from contextlib import closing
from typing import Any

import click

from provisioner.cli.options import flag, lock_timeout_flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings, host_platform
from provisioner.errors import ExitCode
from provisioner.install.home import EnvironmentHome, Generation
from provisioner.profile.load import load_profile
from provisioner.profile.model import Device, Profile
from provisioner.validate.model import Report, Verdict


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
@lock_timeout_flag
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
) -> Result:
    """Build the locked environment of PROFILE and prove it with a real model.

    With nothing to do it says so and touches nothing.
    """
    profile = load_profile(profile_name, folders=settings.profile_folders)
    return build_and_validate(
        settings,
        profile,
        name=name,
        device=device,
        width=width,
        validate=not no_validate,
        no_gate=no_gate,
        rebuild=rebuild,
        lock_first=lock_first,
        lock_timeout_s=lock_timeout,
    )


def build_and_validate(
    settings: Settings,
    profile: Profile,
    *,
    name: str | None,
    device: str | None = None,
    width: bool | None = None,
    validate: bool = True,
    no_gate: bool = False,
    rebuild: bool = False,
    lock_first: bool = False,
    lock_timeout_s: float = 300.0,
) -> Result:
    """Build a profile's environment unless it is there, validate it unless it is proven, and tell."""
    from provisioner.cli.build import LazyEngines  # noqa: PLC0415 - `create --help` stays fast
    from provisioner.pipeline import (  # noqa: PLC0415 - the same
        ValidationChoices,
        create_environment,
        plan_environment,
        read_report,
    )
    from provisioner.render.progress import show_progress  # noqa: PLC0415 - the same

    home = EnvironmentHome(data=settings.data)
    platform = host_platform()
    with (
        show_progress(settings.environ) as listener,
        closing(LazyEngines(settings, on_event=listener, fresh=rebuild)) as engines,
    ):
        gpu = None
        if profile.device is Device.XPU:
            from provisioner.cli.gate import pass_gate  # noqa: PLC0415 - a CPU profile judges no machine

            gpu = pass_gate(settings, profile, platform=platform, enforce=not no_gate and device != "cpu")
        if lock_first:
            engines.lock_if_stale(profile)
        plan = plan_environment(
            profile,
            folder=settings.find_lockfile_folder(profile.file),
            platform=platform,
            name=name,
            gpu=gpu,
        )
        generation = create_environment(
            plan,
            home=home,
            engines=engines.install,
            rebuild=rebuild,
            lock_timeout_s=lock_timeout_s,
            on_event=listener,
        )
        report = None if generation.new else read_report(generation)
        proven = report is not None and report.verdict is Verdict.PASSED and device is None and width is None
        if validate and not proven:
            choices = ValidationChoices(device=device, width=width)
            report = engines.validate(generation, profile, home=home, choices=choices)
    return _tell(profile, generation, report, up_to_date=proven and not generation.new)


def _tell(profile: Profile, generation: Generation, report: Report | None, *, up_to_date: bool) -> Result:
    from provisioner.render.verdict import (  # noqa: PLC0415 - the same
        describe_environment,
        exit_code_of,
        report_errors,
        summarise_report,
    )

    matches = _recognise(report) if report and report.verdict is not Verdict.PASSED else []
    data: dict[str, Any] = {
        **_environment_data(profile, generation),
        "up_to_date": up_to_date,
        "verdict": report.verdict.value if report else "unvalidated",
        **(summarise_report(report, profile) if report else {}),
        "report": report.as_json() if report else None,
        "matches": matches,
    }
    return Result(
        data=data,
        text=describe_environment(profile, generation, report, new=not up_to_date, known=matches),
        exit_code=exit_code_of(report) if report else ExitCode.OK,
        errors=report_errors(report) if report else (),
    )


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


def _recognise(report: Report) -> list[dict[str, Any]]:
    from provisioner.cli.recognise import recognise_report  # noqa: PLC0415 - only failures load the catalogue

    return recognise_report(report)
