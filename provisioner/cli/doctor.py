"""``provision doctor``: judge this machine layer by layer."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.cli.output import check_output, write_output
from provisioner.diagnose.machine.doctor import describe_layers, judge_layers, list_layers
from provisioner.diagnose.machine.facts import EnvironmentFacts, HostFacts, TorchFacts
from provisioner.diagnose.machine.facts_json import as_json, parse_facts, scrub
from provisioner.diagnose.machine.gate import wanted_host
from provisioner.diagnose.machine.layers.model import WantedHost
from provisioner.engines.net.addresses import host_and_port
from provisioner.errors import (
    ExitCode,
    ProvisionError,
    UnavailableError,
    UnvalidatedError,
    UsageError,
    ValidateError,
)
from provisioner.install.home import EnvironmentHome, Generation, find_environment
from provisioner.pipeline.settings import Settings, host_platform
from provisioner.profile.load import load_profile
from provisioner.profile.model import Profile
from provisioner.render.result import Result
from provisioner.validate.checks.finding import name_environment
from provisioner.validate.model import CheckRecord

_WORST_FIRST = ("fail", "unknown", "not needed", "pass")


@click.command("doctor")
@click.argument("target", metavar="[PROFILE | ENVIRONMENT]", required=False)
@flag("--layer", "layers", multiple=True, metavar="LAYER", help="Judge only this layer; repeatable.")
@flag("--list", "list_them", is_flag=True, help="List the layers.")
@flag("--save", metavar="FILE", help="Write the gathered facts, without names and secrets.")
@flag("--from", "read_from", metavar="FILE", help="Judge saved facts in place of this machine.")
@settings_flags
def command(
    *,
    settings: Settings,
    target: str | None,
    layers: tuple[str, ...],
    list_them: bool,
    save: str | None,
    read_from: str | None,
) -> Result:
    """Judge this machine layer by layer, from the GPU on the bus to a kernel that ran.

    Without a name the machine is judged for an XPU profile.
    """
    if list_them:
        rows = [{"name": name, "looks_at": text} for name, text in list_layers()]
        lines = [f"{row['name']:<14} {row['looks_at']}" for row in rows]
        return Result(data={"layers": rows}, text="\n".join(lines))
    check_output(save, "--save")
    profile, generation = _find(settings, target)
    wanted = _want(profile, built=generation is not None)
    if read_from:
        facts = _read(read_from)
    else:
        facts = _gather(settings, profile, generation)
        if profile is not None and (not layers or "indexes" in layers):
            facts, wanted = _ask_sources(settings, profile, facts, wanted)
    saved = None
    if save:
        document = as_json(scrub(facts, variables=settings.environ))
        write_output(save, json.dumps(document, indent=1) + "\n", "--save")
        saved = f"facts written to {save}"
    data = describe_layers(judge_layers(facts, wanted, layers=layers or None))
    if generation is not None:
        for layer in data["layers"]:
            if layer["hint"]:
                (layer["hint"],) = name_environment((layer["hint"],), generation.receipt.environment)
    errors = _errors(data, target)
    return Result(
        data={**data, "saved": save},
        text="\n".join([_table(data), *([saved] if saved else [])]),
        exit_code=errors[0].exit_code if errors else ExitCode.OK,
        errors=errors,
    )


def _find(settings: Settings, target: str | None) -> tuple[Profile | None, Generation | None]:
    """Return the profile and the environment that a name stands for; an environment wins."""
    if target is None:
        return None, None
    home = EnvironmentHome(data=settings.data)
    generation = find_environment(home, target)
    if generation is not None:
        return load_profile(generation.receipt.profile, folders=settings.profile_folders), generation
    return load_profile(target, folders=settings.profile_folders), None


def _want(profile: Profile | None, *, built: bool) -> WantedHost:
    if profile is None:
        return WantedHost(device="xpu", stack="any XPU stack", hides_integrated=True)
    return wanted_host(profile, platform=host_platform(), built=built)


def _gather(settings: Settings, profile: Profile | None, generation: Generation | None) -> HostFacts:
    from provisioner.engines.machine.host import gather_host  # noqa: PLC0415 - `--from` gathers nothing

    folder = generation.prefix if generation else settings.data
    facts = gather_host(target=folder, variables=settings.environ)
    if profile is not None and generation is not None:
        torch = _torch(generation, device=profile.device.value)
        facts = replace(facts, environment=_environment(generation), torch=torch)
    return facts


def _ask_sources(
    settings: Settings, profile: Profile, facts: HostFacts, wanted: WantedHost
) -> tuple[HostFacts, WantedHost]:
    """Ask the indexes and channels that a build would fetch from; the others are not needed."""
    from provisioner.cli.sources import find_needed_sources  # noqa: PLC0415 - not without a profile
    from provisioner.engines.machine.host import ask_indexes  # noqa: PLC0415 - the same
    from provisioner.engines.net.download import Downloader  # noqa: PLC0415 - the same
    from provisioner.pipeline.engines import Engines  # noqa: PLC0415 - the same

    engines = Engines(settings)
    needed = find_needed_sources(settings, engines, profile, platform=host_platform())
    wanted = replace(wanted, indexes=tuple(needed))
    if not needed:
        return facts, wanted
    downloader = Downloader(replace(engines.network, tries=1, connect_timeout_s=2.0, stall_timeout_s=3.0))

    def reach(url: str) -> str:
        try:
            downloader.head(url)
        except UnavailableError as error:
            # An index may refuse to list itself and still serve its projects.
            answered = error.code in {"unavailable.not_found", "unavailable.forbidden"}
            return "" if answered else f"{error.code.removeprefix('unavailable.')} ({host_and_port(url)})"
        return ""

    with closing(downloader):
        return replace(facts, reach=ask_indexes(needed, reach, timeout_s=4.0)), wanted


def _environment(generation: Generation) -> EnvironmentFacts:
    from provisioner.engines.machine.environment import gather_environment  # noqa: PLC0415 - not without one

    locked = {
        package.name: package.version for package in generation.receipt.packages if package.kind == "wheel"
    }
    facts = gather_environment(generation.prefix, platform=generation.receipt.platform, receipt=True)
    if facts.distributions is None:
        return facts
    drift = [
        f"{name} {facts.distributions.get(name, 'is missing')} (locked {version})"
        for name, version in sorted(locked.items())
        if facts.distributions.get(name) != version
    ]
    return replace(facts, drift=tuple(drift))


def _torch(generation: Generation, *, device: str) -> TorchFacts | None:
    """Return what the last validation saw of torch and the profile's device; None where there was none."""
    from provisioner.pipeline.reports import read_report  # noqa: PLC0415 - not without an environment

    report = read_report(generation)
    if report is None:
        return None
    if str(report.device.get("asked", device)).partition(":")[0] != device:
        return TorchFacts(version=report.versions.get("torch"))  # another device answered
    imports, seen, kernels = (_outcome(report.find_record(name)) for name in ("imports", "device", "kernels"))
    about_torch = False in (imports, seen, kernels)
    stopped = f"the last validation ended before, at stage {report.stage}: {report.reason}"
    return TorchFacts(
        version=None if imports is False else report.versions.get("torch"),
        devices=None if seen is None else ((str(report.device.get("name")),) if seen else ()),
        kernel_ran=kernels,
        error=report.reason if about_torch else None,
        unasked=stopped if kernels is None and report.stage and not about_torch else None,
    )


def _outcome(record: CheckRecord | None) -> bool | None:
    """Tell whether a check passed; None where it was never made."""
    return None if record is None or record.status.value == "skipped" else record.status.value == "passed"


def _read(path: str) -> HostFacts:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            "doctor.bad_facts",
            f"`--from {path}`: {error}",
            hints=["name a file that `provision doctor --save` wrote"],
        ) from error
    return parse_facts(document)


def _errors(data: dict[str, Any], target: str | None) -> tuple[ProvisionError, ...]:
    outcome = data["outcome"]
    if outcome == "ok":
        return ()
    bad = min(data["layers"], key=lambda layer: _WORST_FIRST.index(layer["verdict"]))
    kind: type[ProvisionError] = ValidateError if outcome == "fail" else UnvalidatedError
    if bad["name"] == "indexes":
        kind = UnavailableError
    what = f"`{target}`" if target else "this machine"
    return (
        kind(
            f"doctor.{outcome}",
            f"{what}: layer {bad['name']}: {bad['evidence']}",
            hints=[
                bad.get("hint")
                or "run `provision doctor --save facts.json` and send that file with your report"
            ],
            context={"layer": bad["name"]},
        ),
    )


def _table(data: dict[str, Any]) -> str:
    lines = []
    for layer in data["layers"]:
        lines.append(f"{layer['name']:<14} {layer['verdict']:<10} {layer['evidence']}")
        if layer.get("hint") and layer["verdict"] in {"fail", "unknown"}:
            lines.append(f"{'':<14} {'':<10} hint: {layer['hint']}")
    lines.append(f"outcome: {data['outcome']}")
    return "\n".join(lines)
