"""``provision validate``: run the validation of a built environment again."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from provisioner.cli.named_files import check_output, write_output
from provisioner.cli.options import DeviceName, argument, flag, settings_flags, verb
from provisioner.errors import UsageError
from provisioner.pipeline.settings import Settings
from provisioner.pipeline.validate import ValidationChoices, validate
from provisioner.render.create import (
    describe_environment,
    exit_code_of,
    list_notices,
    list_uses,
    report_errors,
    summarise_report,
)
from provisioner.render.progress import show_progress
from provisioner.render.report_html import write_html
from provisioner.render.report_junit import write_junit
from provisioner.render.result import Result


@verb("validate")
@argument("environment", metavar="[ENVIRONMENT]", required=False)
@flag("--device", type=DeviceName(), metavar="DEVICE", help="Validate on this device: cpu, xpu, xpu:1, cuda.")
@flag("--width/--no-width", default=None, help="Also run layers of the real model's size (default on a GPU).")
@flag(
    "--model",
    metavar="PATH",
    help="Use the weights and the tokenizer in this folder, or with OpenVINO this GGUF file.",
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
    environment: str | None,
    device: str | None,
    width: bool | None,
    model: str | None,
    trust_remote_code: bool,
    **outputs: str | None,
) -> Result:
    """Prove a built ENVIRONMENT again with a real forward pass; without a name the folder's is meant."""
    environment = settings.choose_name(environment)
    if model is not None and not Path(model).exists():
        raise UsageError(
            "usage.no_model",
            f"`--model`: there is no folder or file `{model}`",
            hints=["name a folder that holds safetensors and a tokenizer, or a GGUF file"],
        )
    files = {kind: path for kind, path in outputs.items() if path}
    for kind, path in files.items():
        check_output(path, f"--{kind}")
    choices = ValidationChoices(
        device=device,
        width=width,
        model=Path(model) if model else None,
        trust_remote_code=trust_remote_code,
    )
    with show_progress(settings.environ) as listener:
        done = validate(settings, environment, choices, on_event=listener)
    pages = {
        "junit": lambda: write_junit(done.report),
        "html": lambda: write_html(
            done.report,
            notices=list_notices(done.profile, done.matches),
            uses=list_uses(environment, done.profile, done.report, own_model=model is not None),
        ),
    }
    for kind, path in files.items():
        write_output(path, pages[kind](), f"--{kind}")
    data: dict[str, Any] = {
        "environment": environment,
        "profile": done.profile.name,
        "verdict": done.report.verdict.value,
        **summarise_report(done.report, done.profile),
        "report": done.report.as_json(),
        "matches": [asdict(match) for match in done.matches],
        "files": files,
    }
    text = describe_environment(
        done.profile,
        done.generation,
        done.report,
        new=True,
        known=done.matches,
        own_model=model is not None,
    )
    return Result(
        data=data,
        text="\n".join([text, *(f"report written to {path}" for path in files.values())]),
        exit_code=exit_code_of(done.report),
        errors=report_errors(done.report),
    )
