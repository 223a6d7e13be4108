"""Which profile of a family suits a machine: the one judge that `init`, `create` and `doctor` ask.

Profiles say for which classes of GPU they are (`gpus`), the ledger what is known against them on this card.
"""

from dataclasses import dataclass

from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.gate import find_best_gpu, list_classes
from provisioner.diagnose.machine.gpus import Gpu, describe_unfit
from provisioner.diagnose.machine.known import find_stop, list_notices
from provisioner.ground.text import replace_controls
from provisioner.pipeline.ledger import list_known
from provisioner.pipeline.settings import Settings, builtin_folder
from provisioner.profile.load import list_profiles
from provisioner.profile.model import Device, Profile, State, TorchVariant

# Most programs want torch, so its own build for Intel GPUs is the first choice.
_TORCH = (TorchVariant.XPU, TorchVariant.NONE, TorchVariant.IPEX, TorchVariant.CPU)


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """The profile that suits a machine; None where the family has none for it, and line by line why."""

    profile: Profile | None
    reasons: tuple[str, ...]


def propose_profile(settings: Settings, facts: HostFacts, *, family: str) -> Proposal:
    """Return the family's first built-in profile that is for this machine's best card and that nothing stops.

    Maintained stacks come before archived ones and replaced ones. Without a card, or where the ledger stops
    every profile for it, it is the profile for the CPU.
    """
    gpu = find_best_gpu(facts)
    platform = _find_platform(facts)
    ranked = sorted(_list_family(family), key=_rank)
    reasons = [f"  here: {_describe(facts, gpu)}"]
    for profile in (each for each in ranked if gpu and _is_for(each, gpu, platform=platform)):
        known = list_known(settings, profile, None, facts)
        stop = find_stop(known, subject=f"`{profile.name}`")
        if stop is None:
            notices = list_notices(
                [each for each in known if each.sure], subject=f"`{profile.name}`", where="on this machine"
            )
            reasons += [f"  ledger: {notice.message}" for notice in notices]
            reasons += [] if notices else [f"  ledger: nothing is known against `{profile.name}` here"]
            return _make(profile, reasons)
        reasons.append(f"  not {profile.name}: {stop.message}")
    if gpu is not None:
        reasons.append("  so the profile is for the CPU")
    return _make(next((each for each in ranked if each.device is Device.CPU), None), reasons)


def find_better(settings: Settings, profile: Profile, facts: HostFacts) -> str | None:
    """Return the name of the profile that suits this machine; None where it is this one, or there is none."""
    found = propose_profile(settings, facts, family=profile.family).profile
    return None if found is None or found.name == profile.name else found.name


def find_unfit(profile: Profile, facts: HostFacts) -> str | None:
    """Say which GPUs an XPU profile is for, where this machine's best one is none of them."""
    gpu = find_best_gpu(facts)
    if gpu is None or profile.device is not Device.XPU:
        return None
    return describe_unfit(f"`{profile.name}`", gpu, list_classes(profile, platform=_find_platform(facts)))


def _is_for(profile: Profile, gpu: Gpu, *, platform: str) -> bool:
    if profile.device is not Device.XPU or platform not in {part.name for part in profile.platforms}:
        return False
    return describe_unfit("it", gpu, list_classes(profile, platform=platform)) is None


def _find_platform(facts: HostFacts) -> str:
    return "win-64" if facts.os == "windows" else "linux-64"


def _list_family(family: str) -> list[Profile]:
    entries = list_profiles([builtin_folder("envs")])
    return [each.profile for each in entries if each.profile and each.profile.family == family]


def _rank(profile: Profile) -> tuple[bool, bool, int, int, str]:
    """Alive first, then what nothing replaces, by torch; of two alike the one with less on its stack."""
    status = profile.status
    archived = status.state is State.ARCHIVED
    replaced = status.replaced_by is not None
    return archived, replaced, _TORCH.index(profile.torch), len(profile.stacks), profile.name


def _describe(facts: HostFacts, gpu: Gpu | None) -> str:
    if gpu is None:
        return "no supported Intel GPU, so the profile is for the CPU"
    system = " ".join(part for part in (facts.os, facts.release, facts.kernel) if part)
    displays = [each for each in facts.displays or () if each.device.lower() == gpu.device]
    driver = next((each.driver_version or each.driver for each in displays), None) or "not known"
    return f"{gpu.product} ({gpu.architecture.name}), driver {driver}, {system}"


def _make(profile: Profile | None, reasons: list[str]) -> Proposal:
    return Proposal(profile=profile, reasons=tuple(replace_controls(reason) for reason in reasons))
