"""The job of `provision doctor`: gather what is known of a machine and an environment, then judge it.

facts of the machine -> of the environment -> of the last validation -> of the network -> layers, ledger
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from provisioner.diagnose.machine.doctor import judge_layers
from provisioner.diagnose.machine.facts import HostFacts, Reach
from provisioner.diagnose.machine.facts_json import as_json, parse_facts, scrub
from provisioner.diagnose.machine.gate import find_install_bytes, wanted_host
from provisioner.diagnose.machine.known import Known
from provisioner.diagnose.machine.last_validation import read_torch_facts
from provisioner.diagnose.machine.layers.model import LayerResult, WantedHost
from provisioner.engines.machine.environment import gather_built
from provisioner.engines.machine.host import ask_indexes, gather_host
from provisioner.engines.net.download import Downloader
from provisioner.errors import LockError, UnavailableError, UsageError
from provisioner.ground.files import read_file
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.install.generations import EnvironmentHome, Generation, find_environment
from provisioner.lock.file import read_lock
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.ledger import list_known
from provisioner.pipeline.needs import find_wanted
from provisioner.pipeline.proposal import find_better, propose_profile
from provisioner.pipeline.reports import list_reports, read_report
from provisioner.pipeline.settings import Settings, host_platform
from provisioner.profile.model import Profile
from provisioner.resolve.model import CondaPackage, PipPackage
from provisioner.validate.model import Report

_MAX_FACTS_BYTES = 8 * 1024 * 1024
_FAMILY = "llama3"  # of whose profiles one is proposed where no profile was named


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """What is known of a machine.

    Attributes:
        subject: What was judged, for messages.
        environment: Name of the environment that was looked at.
        facts: What the layers were judged by.
        layers: Name to result, in order.
        known: Rows of the ledger that apply; none where only some layers were asked for.
        reports: Of the environment's validations, on any device, the newest first.
    """

    subject: str
    environment: str | None
    facts: HostFacts
    layers: Mapping[str, LayerResult]
    known: tuple[Known, ...] = ()
    reports: tuple[Report, ...] = ()


def diagnose(
    settings: Settings, target: str | None, *, layers: Sequence[str] = (), facts_file: Path | None = None
) -> Diagnosis:
    """Judge this machine for an environment, a profile, or any XPU profile.

    Args:
        settings: Where things are.
        target: Name of an environment or a profile; an environment wins.
        layers: Names of the layers to judge; empty: all.
        facts_file: Saved facts to judge in place of this machine.

    Raises:
        InstallError: The environment's receipt is damaged.
        UsageError: There is no such profile or layer, or the file holds no facts.
    """
    profile, generation = _find_target(settings, target)
    if profile is None:
        wanted = WantedHost(device="xpu", stack="any XPU stack", hides_integrated=True)
    else:
        wanted = wanted_host(profile, platform=host_platform(), built=generation is not None)
    if generation is not None:
        wanted = replace(wanted, variables=generation.receipt.env)
    if facts_file is not None:
        facts = gather_facts(settings, facts_file)
    else:
        facts = gather_host(
            target=generation.prefix if generation else settings.data, variables=settings.environ
        )
        if profile is not None and generation is not None:
            report = read_report(generation)
            facts = replace(
                facts,
                environment=gather_built(generation),
                torch=read_torch_facts(report, device=profile.device.value) if report else None,
            )
        if profile is not None and (not layers or "indexes" in layers):
            reach = _ask_sources(settings, profile)
            facts = replace(facts, reach=reach)
            wanted = replace(wanted, indexes=tuple(answer.name for answer in reach))
    if profile is not None:
        wanted = replace(wanted, better=find_better(settings, profile, facts))
    elif proposed := propose_profile(settings, facts, family=_FAMILY).profile:
        wanted = replace(wanted, better=proposed.name, install_bytes=find_install_bytes(proposed))
    return Diagnosis(
        subject=f"`{target}`" if target else "this machine",
        environment=generation.receipt.environment if generation else None,
        facts=facts,
        layers=judge_layers(facts, wanted, layers=layers or None),
        known=() if layers else list_known(settings, profile, generation, facts),
        reports=list_reports(generation) if generation is not None and facts_file is None else (),
    )


def gather_facts(settings: Settings, facts_file: Path | None) -> HostFacts:
    """Return what is known of this machine, or what a file of `doctor --save` says of one.

    Raises:
        UsageError: The file holds no facts.
    """
    if facts_file is not None:
        return _load_facts(facts_file)
    return gather_host(target=settings.data, variables=settings.environ)


def describe_facts(settings: Settings, facts: HostFacts) -> dict[str, Any]:
    """Return the document of ``--save``: without the user's and machine's names, homes and passwords."""
    return as_json(scrub(facts, variables=settings.environ))


def _find_target(settings: Settings, target: str | None) -> tuple[Profile | None, Generation | None]:
    if target is None:
        return None, None
    generation = find_environment(EnvironmentHome(data=settings.data), target)
    if generation is None:
        return settings.load_profile(target), None
    return settings.load_profile_of(generation), generation


def _load_facts(path: Path) -> HostFacts:
    try:
        data = read_file(path, max_bytes=_MAX_FACTS_BYTES)
        if len(data) > _MAX_FACTS_BYTES:
            raise _bad_file(path, f"it is larger than {_MAX_FACTS_BYTES >> 20} MiB")
        return parse_facts(json.loads(data))
    except OSError as error:
        raise _bad_file(path, (error.strerror or str(error)).lower()) from error
    except RecursionError as error:
        raise _bad_file(path, "its lists and objects are nested too deeply") from error
    except ValueError as error:  # no JSON, or no text
        raise _bad_file(path, f"it is not JSON: {str(error)[:1].lower()}{str(error)[1:]}") from error


def _bad_file(path: Path, why: str) -> UsageError:
    return UsageError(
        "doctor.bad_facts",
        f"cannot read the machine's facts from `{path}`: {why}",
        hints=["name a file that `provision doctor --save` wrote"],
        context={"path": str(path)},
    )


def _ask_sources(settings: Settings, profile: Profile) -> tuple[Reach, ...]:
    """Ask the indexes and channels that a build would fetch from."""
    with Engines(settings) as engines:
        needed = _find_needed_sources(engines, profile)
        network = replace(engines.network, tries=1, connect_timeout_s=2.0, stall_timeout_s=3.0)
    if not needed:
        return ()
    if settings.offline:
        forbidden = "the network may not be used (`--offline`)"
        return tuple(Reach(name=name, reached=False, detail=forbidden) for name in needed)
    with closing(Downloader(network)) as downloader:

        def reach(url: str) -> str:
            try:
                downloader.head(url)
            except UnavailableError as error:
                # An index may refuse to list itself and still serve its projects.
                if error.code not in {"unavailable.not_found", "unavailable.forbidden"}:
                    return error.message
            return ""

        return ask_indexes(needed, reach, timeout_s=4.0)


def _find_needed_sources(engines: Engines, profile: Profile) -> dict[str, str]:
    """Return index or channel to its address, for those that a build of the profile would ask.

    A file in the store or, by its name, in a wheelhouse needs nobody. Without a readable lockfile every index
    of the profile is needed.
    """
    settings, platform = engines.settings, host_platform()
    addresses = {}
    if not engines.packages.no_index:  # else wheels come from wheelhouses alone
        addresses = {DEFAULT_INDEX: engines.default_index} | {each.name: each.url for each in profile.indexes}
    try:
        part = read_lock(settings.find_lockfile(profile)).find_platform(platform)
    except LockError:
        return addresses
    remote = [each.package for each in find_wanted(engines, (*part.conda, *part.pip)) if each.remote]
    indexes = {package.index for package in remote if isinstance(package, PipPackage)}
    channels = {package.url.rsplit("/", 2)[0] for package in remote if isinstance(package, CondaPackage)}
    return {name: addresses[name] for name in addresses if name in indexes} | {
        channel.rsplit("/", 1)[-1]: f"{channel}/{platform}/repodata.json.zst" for channel in sorted(channels)
    }
