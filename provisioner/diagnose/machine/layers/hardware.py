"""From the PCI bus to the device node: what must hold before any library of Intel's is asked."""

from collections.abc import Sequence

from provisioner.diagnose.machine.facts import DeviceNode, DisplayDevice, HostFacts
from provisioner.diagnose.machine.gpus import INTEL_VENDOR, Gpu, describe_unfit, find_gpu
from provisioner.diagnose.machine.layers.model import (
    LayerResult,
    WantedHost,
    failed,
    not_needed,
    parse_version,
    passed,
    unknown,
)

CPU_ONLY = "the profile runs on the CPU"
NO_GPU = "there is no Intel GPU"
_SMALL_BAR_BYTES = 256 * 1024 * 1024
_LINUX_DRIVERS = ("i915", "xe")
_VENDORS = {"10de": "NVIDIA", "1002": "AMD", "1414": "Microsoft", "1af4": "virtio", "15ad": "VMware"}
# Codes of Windows' device manager.
_PROBLEMS = {
    10: "cannot start",
    22: "disabled",
    28: "no driver installed",
    31: "driver failed",
    43: "stopped",
}
_NO_BUS = "the machine's devices could not be read, see the layer `gpu`"
_CPU_PROFILE = "choose a profile for the CPU from `provision list`, or add an Intel Arc card"
_OTHER_PROFILE = "choose another profile from `provision list`"
_WINDOWS_DRIVER = "install the current Intel Arc graphics driver and restart"


def find_intel(facts: HostFacts) -> tuple[tuple[DisplayDevice, Gpu | None], ...]:
    """Return Intel's display devices, supported ones first, with what the table knows of them."""
    found = [
        (display, find_gpu(display.vendor, display.device))
        for display in facts.displays or ()
        if display.vendor.lower() == INTEL_VENDOR
    ]
    return tuple(sorted(found, key=lambda pair: 0 if pair[1] and pair[1].supported else 1))


def find_usable(facts: HostFacts) -> tuple[tuple[DisplayDevice, Gpu], ...]:
    """Return the GPUs that the XPU stacks run on."""
    return tuple((display, gpu) for display, gpu in find_intel(facts) if gpu and gpu.supported)


def check_gpu(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Judge whether a GPU that the stack runs on is on the bus."""
    if not wanted.uses_gpu:
        return not_needed(CPU_ONLY)
    usable = find_usable(facts)
    if usable:
        unfit = describe_unfit(wanted.stack, usable[0][1], wanted.gpus)
        if unfit is not None:
            return unknown(f"{unfit}: whether it runs is not known", _advise(wanted, _OTHER_PROFILE))
        others = f", and {len(usable) - 1} more" if usable[1:] else ""
        return passed(f"{_describe(*usable[0])}, {usable[0][1].architecture.name}{others}")
    if facts.wsl:
        return _check_gpu_in_wsl(facts)
    if facts.displays is None:
        return _explain_no_bus(facts)
    return _explain_no_gpu(find_intel(facts), facts.displays, _advise(wanted, _CPU_PROFILE))


def check_kernel_driver(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Judge whether the operating system's driver has taken the GPU, and is new enough."""
    if not wanted.uses_gpu:
        return not_needed(CPU_ONLY)
    if facts.wsl:
        return _check_wsl_device(facts)
    if facts.displays is None:
        return unknown(_NO_BUS)
    intel = find_usable(facts) or find_intel(facts)
    if not intel:
        return not_needed(NO_GPU)
    display, gpu = intel[0]
    if facts.os == "windows":
        return _check_windows_driver(display, gpu)
    return _check_linux_driver(facts, display, gpu)


def check_device_nodes(  # noqa: PLR0911 # one return per cause
    facts: HostFacts, wanted: WantedHost
) -> LayerResult:
    """Judge whether this user may open the file that leads to the GPU."""
    if not wanted.uses_gpu:
        return not_needed(CPU_ONLY)
    if facts.os == "windows":
        return not_needed("Windows has no device nodes")
    if facts.wsl:
        return _check_wsl_device(facts)
    if facts.nodes is None:
        return unknown("`/dev/dri` could not be read")
    intel = find_usable(facts) or find_intel(facts)
    if facts.displays is not None and not intel:
        return not_needed(NO_GPU)
    addresses = {display.address for display, _ in intel}
    nodes = [node for node in facts.nodes if node.pci_address is None or node.pci_address in addresses]
    if not nodes:
        return _explain_no_node(facts)
    for node in nodes:
        if node.accessible:
            return passed(f"`{node.path}` can be opened")
    if any(node.accessible is None for node in nodes):
        return unknown(f"whether `{nodes[0].path}` can be opened is not known")
    return _explain_no_access(facts, nodes[0])


def check_resizable_bar(  # noqa: PLR0911 # one return per cause
    facts: HostFacts, wanted: WantedHost
) -> LayerResult:
    """Judge whether the processor sees all of the card's memory, not a window of 256 MiB."""
    if not wanted.uses_gpu:
        return not_needed(CPU_ONLY)
    if facts.wsl:
        return not_needed("Windows owns the card")
    if facts.displays is None:
        return unknown(_NO_BUS)
    cards = [(display, gpu) for display, gpu in find_usable(facts) if gpu.architecture.discrete]
    if not cards:
        return not_needed("no Intel card with memory of its own")
    # The smallest window of all cards decides; an unknown one counts as large.
    display, gpu = min(cards, key=lambda card: card[0].bar_bytes or _SMALL_BAR_BYTES + 1)
    if display.bar_bytes is None:
        return unknown(f"how much of {gpu.product}'s memory the processor sees could not be read")
    seen = f"{display.bar_bytes >> 20} MiB of {gpu.product}'s memory"
    if display.bar_bytes <= _SMALL_BAR_BYTES:
        return failed(
            f"the processor sees only {seen} at once: Resizable BAR is off, and the card is slow",
            "enable `Resizable BAR` and `Above 4G Decoding` in the firmware setup (BIOS)",
        )
    return passed(f"the processor sees {seen}")


def _describe(display: DisplayDevice, gpu: Gpu | None) -> str:
    vendor = _VENDORS.get(display.vendor.lower())
    name = gpu.product if gpu else display.name or (f"{vendor} device" if vendor else "device")
    identity = f"{name} ({display.vendor}:{display.device})"
    return f"{identity} at {display.address}" if gpu and display.address else identity


def _explain_no_bus(facts: HostFacts) -> LayerResult:
    if facts.os == "windows":
        return unknown(
            f"Windows could not be asked for its devices: {facts.unread or 'the reason is not known'}",
            "start `powershell` and see that it works; without it, as under Wine, no GPU can be seen",
        )
    return unknown(
        "the PCI bus (`/sys/bus/pci/devices`) cannot be read here",
        "run `provision doctor` outside of the container or sandbox",
    )


def _advise(wanted: WantedHost, otherwise: str) -> str:
    better = f"run `provision create {wanted.better}`, which is for this machine"
    return better if wanted.better else otherwise


def _explain_no_gpu(
    intel: Sequence[tuple[DisplayDevice, Gpu | None]], displays: Sequence[DisplayDevice], advice: str
) -> LayerResult:
    for display, gpu in intel:
        if gpu is None:
            return unknown(
                f"{_describe(display, gpu)} is an Intel GPU that this version does not know",
                "update provision; `provision create` goes on all the same and tries the GPU",
            )
    if intel:
        return failed(f"{_describe(*intel[0])} is too old: the XPU stacks need Intel Arc or newer", advice)
    found = ", ".join(_describe(display, None) for display in displays) or "no display device at all"
    return failed(f"no Intel GPU: this machine has {found}", advice)


def _check_gpu_in_wsl(facts: HostFacts) -> LayerResult:
    hint = "run `provision doctor` in Windows to see the card"
    if facts.wsl_drivers:
        driver = facts.wsl_drivers[0]
        return unknown(f"WSL hides the card; Windows passes in Intel's driver `{driver}`", hint)
    if facts.wsl_drivers is None:
        return unknown("WSL hides the card", hint)
    return failed(
        "WSL passes in no Intel display driver (`/usr/lib/wsl/drivers`)",
        "install Intel's display driver in Windows, then run `wsl --shutdown`",
    )


def _check_wsl_device(facts: HostFacts) -> LayerResult:
    if facts.nodes is None:
        return unknown("`/dev` could not be read")
    for node in facts.nodes:
        if node.path == "/dev/dxg":
            if node.accessible is False:
                return failed("`/dev/dxg` cannot be opened", "run `wsl --update`, then `wsl --shutdown`")
            return passed("WSL: `/dev/dxg` is there")
    return failed(
        "WSL: there is no `/dev/dxg`, through which programs reach the GPU",
        "convert the distribution to WSL 2 (`wsl --set-version NAME 2`) and run `wsl --update`",
    )


def _check_windows_driver(display: DisplayDevice, gpu: Gpu | None) -> LayerResult:
    what = _describe(display, gpu)
    if display.problem:
        meaning = _PROBLEMS.get(display.problem, "see the device manager")
        return failed(f"{what}: problem code {display.problem} ({meaning})", _WINDOWS_DRIVER)
    if display.driver is not None and display.driver.lower() in {"", "basicdisplay"}:
        return failed(f"{what} runs on Windows' basic display driver", _WINDOWS_DRIVER)
    if display.problem is None or not display.driver_version:
        return unknown(f"the driver of {what} could not be read")
    return passed(f"driver {display.driver_version} runs {what}")


def _check_linux_driver(facts: HostFacts, display: DisplayDevice, gpu: Gpu | None) -> LayerResult:
    what = _describe(display, gpu)
    kernel = facts.kernel or "of unknown release"
    if display.driver is None:
        return unknown(f"the driver of {what} could not be read")
    if display.driver in _LINUX_DRIVERS:
        return passed(f"`{display.driver}` runs {what}, kernel {kernel}")
    if display.driver:
        return failed(
            f"the driver `{display.driver}` holds {what} for another use",
            f"give the card back to the host: unbind `{display.driver}`, let `i915` or `xe` take it",
        )
    floor = gpu.architecture.kernel_floor if gpu else None
    if floor and parse_version(facts.kernel or "") < parse_version(floor):
        return failed(
            f"no driver runs {what}: kernel {kernel} is older than {floor}", f"boot Linux {floor} or newer"
        )
    return failed(
        f"no driver runs {what}, kernel {kernel}",
        "boot a newer kernel with its firmware files, and look for `i915` and `xe` in `dmesg`",
    )


def _explain_no_node(facts: HostFacts) -> LayerResult:
    if facts.container:
        return failed(
            "the container has no `/dev/dri/renderD*`", "start the container with `--device /dev/dri`"
        )
    return failed(
        "no `/dev/dri/renderD*` belongs to an Intel GPU",
        "repair the layer `kernel-driver` first: the driver makes this file",
    )


def _explain_no_access(facts: HostFacts, node: DeviceNode) -> LayerResult:
    group = node.group or "render"
    evidence = f"`{node.path}` ({node.mode or '?'}, group `{group}`) cannot be opened by this user"
    if facts.container:
        return failed(evidence, f"start the container with `--group-add {group}`")
    if group in (facts.account_groups or ()) and group not in (facts.groups or ()):
        return failed(
            f"{evidence}: the account is in `{group}`, this session is not yet", "log out and in again"
        )
    return failed(evidence, f"run `sudo usermod -aG {group} $USER`, then log out and in again")
