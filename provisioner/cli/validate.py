"""``provision validate``: run the validation of a built environment again."""

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.cli.output import check_output, write_output
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.errors import UsageError
from provisioner.install.home import EnvironmentHome, Generation, find_environment, list_environments
from provisioner.profile.load import load_profile


@click.command("validate")
@click.argument("environment", metavar="ENVIRONMENT")
@flag("--device", metavar="DEVICE", help="Validate on this device: cpu, xpu, xpu:1, cuda.")
@flag("--width/--no-width", default=None, help="Also run layers of the real model's size (default on a GPU).")
@flag(
    "--model",
    metavar="DIR",
    help="Use the weights (safetensors) and the tokenizer in this folder.",
)
@flag(
    "--trust-remote-code",
    is_flag=True,
    help="Run the Python code in the folder of --model, with your rights: only for code that you have read.",
)
@flag("--junit", metavar="FILE", help="Also write the report as JUnit XML.")
@flag("--html", metavar="FILE", help="Also write the report as one self-contained page.")
@settings_flags
def command(
    *,
    settings: Settings,
    environment: str,
    device: str | None,
    width: bool | None,
    model: str | None,
    trust_remote_code: bool,
    junit: str | None,
    html: str | None,
) -> Result:
    """Prove a built ENVIRONMENT again with a real forward pass."""
    from provisioner.cli.build import LazyEngines  # noqa: PLC0415 - `validate --help` stays fast
    from provisioner.cli.recognise import recognise_report  # noqa: PLC0415 - the same
    from provisioner.pipeline import ValidationChoices  # noqa: PLC0415 - the same
    from provisioner.render.progress import show_progress  # noqa: PLC0415 - the same
    from provisioner.render.verdict import (  # noqa: PLC0415 - the same
        describe_environment,
        exit_code_of,
        report_errors,
        summarise_report,
    )

    if model is not None and not Path(model).is_dir():
        raise UsageError(
            "usage.no_model",
            f"`--model`: there is no folder `{model}`",
            hints=["name a folder that holds safetensors and a tokenizer"],
        )
    check_output(junit, "--junit")
    check_output(html, "--html")
    home = EnvironmentHome(data=settings.data)
    generation = find_built(home, environment)
    profile = load_profile(generation.receipt.profile, folders=settings.profile_folders)
    choices = ValidationChoices(
        device=device,
        width=width,
        model=Path(model) if model else None,
        trust_remote_code=trust_remote_code,
    )
    with (
        show_progress(settings.environ) as listener,
        closing(LazyEngines(settings, on_event=listener)) as engines,
    ):
        report = engines.validate(generation, profile, home=home, choices=choices)
    matches = recognise_report(report)
    files = _write_files(report, junit=junit, html=html)
    data: dict[str, Any] = {
        "environment": environment,
        "profile": profile.name,
        "verdict": report.verdict.value,
        **summarise_report(report, profile),
        "report": report.as_json(),
        "matches": matches,
        "files": files,
    }
    text = describe_environment(profile, generation, report, new=True, known=matches)
    return Result(
        data=data,
        text="\n".join([text, *(f"report written to {path}" for path in files.values())]),
        exit_code=exit_code_of(report),
        errors=report_errors(report),
    )


def find_built(home: EnvironmentHome, name: str) -> Generation:
    """Return an environment's current generation.

    Raises:
        UsageError: There is no such environment; the known ones are named.
    """
    generation = find_environment(home, name)
    if generation is None:
        known = ", ".join(f"`{each}`" for each, _ in list_environments(home))
        raise UsageError(
            "usage.no_environment",
            f"there is no environment `{name}`" + (f"; there are {known}" if known else ""),
            hints=[f"run `provision create {name}`"],
        )
    return generation


def _write_files(report: Any, *, junit: str | None, html: str | None) -> dict[str, str]:
    written = {}
    if junit:
        from provisioner.render.report_junit import write_junit  # noqa: PLC0415 - only with `--junit`

        write_output(junit, write_junit(report), "--junit")
        written["junit"] = junit
    if html:
        from provisioner.render.report_html import write_html  # noqa: PLC0415 - only with `--html`

        write_output(html, write_html(report), "--html")
        written["html"] = html
    return written
