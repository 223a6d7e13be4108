"""Judge the cheap layers before the first byte of a GPU profile is downloaded."""

from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.gpus import Gpu, find_gpu
from provisioner.diagnose.machine.layers.hardware import check_device_nodes, check_gpu, check_kernel_driver
from provisioner.diagnose.machine.layers.model import LayerState, WantedHost
from provisioner.diagnose.machine.layers.system import check_disk
from provisioner.errors import InstallError, ProvisionError, UnvalidatedError
from provisioner.profile.model import Device, Profile, TorchVariant

# Not by `doctor.LAYERS`: the layers of an environment cost a `create` with nothing to do 12 ms of imports.
_LAYERS = {
    "gpu": check_gpu,
    "kernel-driver": check_kernel_driver,
    "device-nodes": check_device_nodes,
    "disk": check_disk,
}
# An XPU environment is 5 to 9 GB with its downloads, a CPU one about 2, one without torch below 1.
_INSTALL_BYTES = {Device.XPU: 12 * 1024**3, Device.CPU: 3 * 1024**3}
_INSTALL_BYTES_WITHOUT_TORCH = 1024**3


def wanted_host(profile: Profile, *, platform: str, built: bool = False) -> WantedHost:
    """Return what a profile wants of a machine; ``built``: its environment is there and is judged, too."""
    return WantedHost(
        device=profile.device.value,
        stack=profile.stacks[0] if profile.stacks else profile.name,
        install_bytes=find_install_bytes(profile),
        indexes=tuple(index.name for index in profile.indexes),
        variables=next((each.env for each in profile.platforms if each.name == platform), {}),
        system_oneapi="ipex-llm-2.1" in profile.stacks,
        hides_integrated=profile.validation.backend == "transformers",
        uses_opencl=profile.validation.backend == "openvino",
        built=built,
        gpus=list_classes(profile, platform=platform),
        torch=profile.torch,
    )


def find_install_bytes(profile: Profile) -> int:
    """Return what a profile's environment takes of the disk with its downloads, rounded up."""
    if profile.torch is TorchVariant.NONE:
        return _INSTALL_BYTES_WITHOUT_TORCH
    return _INSTALL_BYTES[profile.device]


def list_classes(profile: Profile, *, platform: str) -> tuple[str, ...]:
    """Return the classes of GPU that a profile is for on a platform; none: any."""
    return next((each.gpus for each in profile.platforms if each.name == platform), ())


def find_obstacle(facts: HostFacts, wanted: WantedHost, *, profile: str) -> ProvisionError | None:
    """Return the error that stops a build before its download; None: nothing is known to be wrong.

    What is unknown does not stop a build. No room on the disk is ``gate.disk`` (exit 5); a GPU that is
    missing, unsupported or closed to this user is ``gate.<layer>`` (exit 7): the build would succeed, and
    its environment could not be validated.
    """
    results = {name: check(facts, wanted) for name, check in _LAYERS.items()}
    for name, result in results.items():
        if result.state is not LayerState.FAIL:
            continue
        code = f"gate.{name.replace('-', '_')}"
        hints = [result.hint] if result.hint else []
        context = {
            "layer": result.as_json(name),
            "layers": [each.as_json(each_name) for each_name, each in results.items()],
        }
        if name == "disk":
            return InstallError(
                code, f"`{profile}` cannot be built here: {result.evidence}", hints=hints, context=context
            )
        return UnvalidatedError(
            code,
            f"`{profile}` cannot be validated on this machine: {result.evidence}; nothing was downloaded",
            hints=[*hints, "build it all the same and validate it on the CPU: `--device cpu`"],
            context=context,
        )
    return None


def find_best_gpu(facts: HostFacts) -> Gpu | None:
    """Return the first supported GPU, cards before integrated ones; None where there is none."""
    found = [gpu for display in facts.displays or () if (gpu := find_gpu(display.vendor, display.device))]
    supported = [gpu for gpu in found if gpu.supported]
    supported.sort(key=lambda gpu: not gpu.architecture.discrete)
    return supported[0] if supported else None


def find_gpu_class(facts: HostFacts) -> str | None:
    """Return the class of the best GPU as a profile names it."""
    best = find_best_gpu(facts)
    return best.architecture.gpu_class if best else None
