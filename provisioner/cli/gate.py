"""What `create` asks of the machine before the first byte is downloaded, and what `doctor` wants of it."""

from provisioner.cli.settings import Settings
from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.gate import find_obstacle, judge_gate
from provisioner.diagnose.machine.gpus import find_gpu
from provisioner.diagnose.machine.layers import WantedHost
from provisioner.engines.machine.host import LocalHost
from provisioner.profile.model import Device, Profile

# Windows display drivers, from ipex-llm's install_gpu.md; Linux release names do not map to versions.
_DRIVER_FLOORS = {("ipex-llm-2.1", "win-64"): "31.0.101.5122"}


def pass_gate(settings: Settings, profile: Profile, *, platform: str, enforce: bool) -> str | None:
    """Return the class of this machine's GPU, as an XPU profile names it; None where there is none.

    Raises:
        InstallError: The disk has no room.
        UnvalidatedError: There is no GPU that the built environment could be validated on.
    """
    facts = LocalHost().gather(target=settings.data, variables=settings.environ)
    if enforce:
        obstacle = find_obstacle(
            judge_gate(facts, wanted_host(profile, platform=platform)), profile=profile.name
        )
        if obstacle is not None:
            raise obstacle
    return find_gpu_class(facts)


def find_gpu_class(facts: HostFacts) -> str | None:
    """Return the class of the first supported GPU, cards before integrated ones."""
    found = [gpu for display in facts.displays or () if (gpu := find_gpu(display.vendor, display.device))]
    supported = [gpu.generation for gpu in found if gpu.generation.supported]
    supported.sort(key=lambda generation: not generation.discrete)
    first = supported[0].gpu_class if supported else None
    return first.value if first else None


def wanted_host(profile: Profile, *, platform: str, built: bool = False) -> WantedHost:
    """Return what a profile wants of a machine."""
    xpu = profile.device is Device.XPU
    return WantedHost(
        device=profile.device.value,
        stack=profile.stacks[0] if profile.stacks else profile.name,
        # An XPU environment is 5 to 9 GB with its downloads, a CPU one about 2.
        install_bytes=(12 if xpu else 3) * 1024**3,
        indexes=tuple(index.name for index in profile.indexes),
        driver_floor=_driver_floor(profile, platform),
        system_oneapi="ipex-llm-2.1" in profile.stacks,
        hides_integrated=profile.validation.backend == "transformers",
        built=built,
        torch=profile.torch.value,
    )


def _driver_floor(profile: Profile, platform: str) -> str | None:
    return next(
        (_DRIVER_FLOORS[stack, platform] for stack in profile.stacks if (stack, platform) in _DRIVER_FLOORS),
        None,
    )
