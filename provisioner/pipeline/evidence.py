"""The document of `provision report`, and what the documents that travel with the package prove."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioner.diagnose.evidence.describe import describe_evidence
from provisioner.diagnose.evidence.form import MAX_BYTES, Evidence, parse_evidence, read_evidence
from provisioner.diagnose.evidence.proof import Proof, find_proof
from provisioner.diagnose.machine.gate import find_best_gpu
from provisioner.engines.machine.host import gather_host
from provisioner.errors import ErrorList, UnvalidatedError, UsageError
from provisioner.events import Listener, Notice
from provisioner.ground.files import read_file
from provisioner.install.generations import EnvironmentHome, Generation, list_environments
from provisioner.install.plan import InstallPlan
from provisioner.pipeline.ledger import list_known
from provisioner.pipeline.reports import read_report
from provisioner.pipeline.settings import Settings, builtin_folder
from provisioner.pipeline.validate import recognise_report
from provisioner.profile.load import load_profile
from provisioner.profile.model import Device, Profile

FOLDER = "docs/evidence"


def make_evidence(settings: Settings, name: str | None, *, on_event: Listener) -> dict[str, Any]:
    """Return the document about an environment's last validation and this machine.

    Args:
        settings: Where things are.
        name: The environment; None: the only one.
        on_event: Hears which validation it is: that on the profile's device where there was one.

    Raises:
        UnvalidatedError: ``report.unvalidated``: it was never validated.
        UsageError: There is no such environment, or a name is needed.
    """
    generation = settings.load_environment(name or _find_only(settings))
    profile = settings.load_profile_of(generation)
    report = read_report(generation) or read_report(generation, other=True)
    environment = generation.receipt.environment
    if report is None:
        raise UnvalidatedError(
            "report.unvalidated",
            f"environment `{environment}` cannot be reported: it was never validated",
            hints=[f"run `provision validate {environment}`"],
        )
    facts = gather_host(target=generation.prefix, variables=settings.environ)
    on_event(
        Notice(
            message=f"the validation of {report.created_at} on `{report.device['asked']}` in "
            f"{report.precision}: {report.verdict}"
        )
    )
    return describe_evidence(
        report,
        profile=profile.name if _is_builtin(profile) else None,
        platform=generation.receipt.platform,
        host=facts,
        known=[each.row.id for each in list_known(settings, profile, generation, facts)],
        failures=[match.id for match in recognise_report(report)],
    )


def _is_builtin(profile: Profile) -> bool:
    """Tell whether a profile says what the built-in one of its name does; any other is a user's own."""
    try:
        ours = load_profile(profile.name, folders=[builtin_folder("envs")])
    except (ErrorList, UsageError):
        return False
    return _leave_out_places(ours) == _leave_out_places(profile)


def _leave_out_places(profile: Profile) -> Profile:
    return replace(profile, origins={}, file="", files=())


def load_evidence(folder: Path | None = None) -> tuple[Evidence, ...]:
    """Return a folder's reports, by default those that travel with the package; a test checks those."""
    paths = sorted((folder or builtin_folder(FOLDER)).glob("*.json"))
    return tuple(read_evidence(json.loads(path.read_text(encoding="utf-8")), path.name) for path in paths)


def load_shared(path: Path) -> tuple[bytes, Evidence]:
    """Read a document that somebody sent, as bytes and checked.

    Raises:
        ErrorList: Of ``UsageError``, ``evidence.…``: what the form does not allow, with its place.
        UsageError: ``evidence.unreadable``.
    """
    try:
        data = read_file(path, max_bytes=MAX_BYTES)
    except OSError as error:
        raise UsageError(
            "evidence.unreadable",
            f"cannot read `{path}`: {(error.strerror or str(error)).lower()}",
            hints=["name a file that `provision report` wrote"],
        ) from error
    return data, parse_evidence(data, path.name)


def find_proofs(settings: Settings, profiles: Sequence[Profile]) -> list[Proof]:
    """Return what evidence says of each profile, on this machine's card."""
    evidence = load_evidence()
    gpu = None
    if any(profile.device is Device.XPU for profile in profiles):
        gpu = find_best_gpu(gather_host(target=settings.data, variables=settings.environ))
    return [find_proof(evidence, profile, card=gpu.product if gpu else None) for profile in profiles]


def tell_proof(settings: Settings, profile: Profile, plan: InstallPlan, *, on_event: Listener) -> None:
    """Tell where a profile is proven before it is built; nothing where nobody reported and no card waits."""
    (proof,) = find_proofs(settings, [profile])
    if proof.reports or proof.card:
        on_event(
            Notice(message=f"reports on `{profile.name}`: {proof.describe(fingerprint=plan.fingerprint)}")
        )


def _find_only(settings: Settings) -> str:
    found = [
        name
        for name, each in list_environments(EnvironmentHome(data=settings.data))
        if isinstance(each, Generation)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"`{name}`" for name in found)
    raise UsageError(
        "usage.report_environment",
        f"name the environment to report: there are {len(found)} ({names})"
        if found
        else "there is no environment to report",
        hints=[
            "run `provision report ENVIRONMENT`" if found else "build one with `provision create PROFILE`"
        ],
    )
