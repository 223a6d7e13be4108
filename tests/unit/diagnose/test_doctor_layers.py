"""Single rules of the layers, beyond the recorded machines."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.diagnose.machine.doctor import (
    LAYERS,
    Outcome,
    describe_layers,
    find_outcome,
    judge_layers,
    list_layers,
)
from provisioner.diagnose.machine.facts import (
    DeviceNode,
    DisplayDevice,
    EnvironmentFacts,
    HostFacts,
    Library,
    Reach,
    TorchFacts,
)
from provisioner.diagnose.machine.gate import find_gpu_class, find_obstacle, wanted_host
from provisioner.diagnose.machine.layers.model import LayerResult, LayerState, WantedHost
from provisioner.errors import ExitCode, UsageError
from provisioner.profile.load import load_profile
from provisioner.profile.model import TorchVariant

GIB = 1024**3
A770 = DisplayDevice(
    vendor="8086", device="56a0", address="0000:03:00.0", driver="i915", problem=0, bar_bytes=16 * GIB
)
LINUX = HostFacts(
    os="linux",
    kernel="6.8.0",
    container=False,
    wsl=False,
    displays=(A770,),
    nodes=(
        DeviceNode(
            path="/dev/dri/renderD128",
            mode="0660",
            group="render",
            accessible=True,
            pci_address="0000:03:00.0",
        ),
    ),
    groups=("render",),
    account_groups=("render",),
    libraries=(
        Library(kind="loader", path="/usr/lib/libze_loader.so.1", version="1.17.0"),
        Library(kind="gpu-driver", path="/usr/lib/libze_intel_gpu.so.1", version="1.3.29735"),
    ),
    opencl_vendors=("intel.icd: libigdrcl.so",),
    disk_free_bytes=100 * GIB,
    target="~/envs",
    target_length=20,
)
XPU = WantedHost(device="xpu", stack="the stack")


def _one(name: str, facts: HostFacts, wanted: WantedHost = XPU) -> LayerResult:
    return judge_layers(facts, wanted, layers=[name])[name]


def _installed(**distributions: str) -> HostFacts:
    named = {name.replace("_", "-"): version for name, version in distributions.items()}
    return replace(
        LINUX, environment=EnvironmentFacts(distributions=named, locked={}, damage=(), missing_libraries=())
    )


def _code_says(version: str, *, recorded: str) -> HostFacts:
    facts = _installed(torch=recorded)
    assert facts.environment is not None
    return replace(facts, environment=replace(facts.environment, torch_version=version))


def test_nothing_known_is_never_a_pass() -> None:
    """A machine of which nothing is known passes no GPU layer, and is not ok."""
    results = judge_layers(HostFacts(os="linux"), replace(XPU, built=True, indexes=("pypi",)))
    states = {name: result.state for name, result in results.items()}
    assert states.pop("variables") is LayerState.PASS  # nothing inherited is known to be nothing
    assert set(states.values()) == {LayerState.UNKNOWN}
    assert find_outcome(results) is Outcome.UNKNOWN


def test_nothing_judged_is_never_ok() -> None:
    """No layers, or only layers that are not needed, do not add up to `ok`."""
    assert find_outcome({}) is Outcome.UNKNOWN
    assert find_outcome(judge_layers(LINUX, WantedHost(device="cpu"), layers=["gpu"])) is Outcome.UNKNOWN
    assert describe_layers({})["outcome"] == "unknown"


def test_openvino_needs_opencl_and_not_level_zero() -> None:
    """The GPU plugin of a stack without torch is linked to OpenCL's loader, which no wheel brings."""
    wanted = replace(XPU, uses_opencl=True)
    missing = _one("user-driver", LINUX, wanted)
    assert missing.state is LayerState.FAIL
    assert "ocl-icd-libopencl1" in str(missing.hint)
    loader = Library(kind="opencl-loader", path="/usr/lib/libOpenCL.so.1", version="1.0.0")
    facts = replace(LINUX, libraries=(loader,), variables={"ONEAPI_DEVICE_SELECTOR": "opencl:cpu"})
    assert _one("user-driver", facts, wanted).state is LayerState.PASS
    assert _one("variables", facts, wanted).state is LayerState.PASS
    without = replace(facts, opencl_vendors=())
    assert "intel-opencl-icd" in str(_one("user-driver", without, wanted).hint)


def test_layers_above_do_not_hide_layers_below() -> None:
    """With no GPU and no driver, disk, indexes and environment are still judged."""
    facts = replace(
        LINUX, displays=(), libraries=(), disk_free_bytes=1, reach=(Reach(name="pypi", reached=True),)
    )
    results = judge_layers(facts, replace(XPU, indexes=("pypi",)))
    states = {name: result.state for name, result in results.items()}
    assert states["gpu"] is LayerState.FAIL
    assert states["disk"] is LayerState.FAIL
    assert states["indexes"] is LayerState.PASS
    assert find_outcome(results) is Outcome.UNSUPPORTED


def test_single_layers_by_name_keep_their_order() -> None:
    """Named layers are judged in the list's order, and a stranger is a usage error that names them all."""
    names = list(judge_layers(LINUX, XPU, layers=["disk", "gpu"]))
    assert names == ["gpu", "disk"]
    with pytest.raises(UsageError) as caught:
        judge_layers(LINUX, XPU, layers=["gpus"])
    assert "resizable-bar" in caught.value.hints[0]
    assert [name for name, _ in list_layers()] == list(LAYERS)


def test_an_unknown_intel_gpu_is_unknown_and_not_unsupported() -> None:
    """A card newer than the table is not called unsupported."""
    result = _one("gpu", replace(LINUX, displays=(replace(A770, device="ffff"),)))
    assert result.state is LayerState.UNKNOWN


@pytest.mark.parametrize(
    ("display", "word"),
    [
        (replace(A770, driver="vfio-pci"), "vfio-pci"),
        (replace(A770, driver=""), "no driver"),
    ],
)
def test_a_card_that_the_host_does_not_drive_fails(display: DisplayDevice, word: str) -> None:
    """A card without a driver, or given to a virtual machine, is told apart."""
    result = _one("kernel-driver", replace(LINUX, displays=(display,)))
    assert result.state is LayerState.FAIL
    assert word in result.evidence


def test_a_fresh_group_membership_needs_a_login() -> None:
    """Who was just added to `render` is told to log in again, not to be added again."""
    closed = replace(LINUX.nodes[0] if LINUX.nodes else DeviceNode(path="x"), accessible=False)
    result = _one("device-nodes", replace(LINUX, nodes=(closed,), groups=(), account_groups=("render",)))
    assert result.hint == "log out and in again"


def test_another_card_s_open_node_is_not_the_gpu_s() -> None:
    """NVIDIA's node that can be opened does not pass for the Arc card's that cannot."""
    nodes = (
        DeviceNode(path="/dev/dri/renderD128", accessible=True, pci_address="0000:01:00.0"),
        DeviceNode(path="/dev/dri/renderD129", accessible=False, pci_address="0000:03:00.0"),
    )
    result = _one("device-nodes", replace(LINUX, nodes=nodes, groups=(), account_groups=()))
    assert result.state is LayerState.FAIL
    assert "renderD129" in result.evidence


def test_opencl_belongs_to_the_user_space_driver() -> None:
    """Without Intel's OpenCL driver, or with it hidden by conda's variable, the layer fails."""
    assert _one("user-driver", replace(LINUX, opencl_vendors=("nvidia.icd: x",))).hint == (
        "install `intel-opencl-icd`"
    )
    assert _one("user-driver", replace(LINUX, opencl_vendors=None)).state is LayerState.UNKNOWN
    hidden = replace(LINUX, variables={"OCL_ICD_VENDORS": "~/miniforge3/etc/OpenCL/vendors"})
    assert _one("user-driver", hidden).hint == "unset `OCL_ICD_VENDORS`"


WINDOWS = HostFacts(
    os="windows",
    displays=(replace(A770, driver="igfxnd", driver_version="32.0.101.6449"),),
    libraries=(Library(kind="loader", path="C:\\Windows\\System32\\ze_loader.dll", version="1.18"),),
    vc_runtime="14.40.33810.0",
    long_paths=True,
    disk_free_bytes=100 * GIB,
    target="~\\envs",
    target_length=30,
)


def test_windows_layers_pass_on_a_sound_machine() -> None:
    """A sound Windows machine is ok."""
    assert find_outcome(judge_layers(WINDOWS, XPU)) is Outcome.OK


@pytest.mark.parametrize(
    ("facts", "layer", "word"),
    [
        (replace(WINDOWS, vc_runtime=""), "user-driver", "Visual C++"),
        (replace(WINDOWS, libraries=()), "user-driver", "ze_loader.dll"),
        (
            replace(WINDOWS, displays=(replace(A770, driver="igfxnd", problem=43),)),
            "kernel-driver",
            "problem code 43",
        ),
        (
            replace(WINDOWS, displays=(replace(A770, driver="BasicDisplay"),)),
            "kernel-driver",
            "basic display",
        ),
        (replace(WINDOWS, long_paths=False, target_length=120), "disk", "120 characters"),
        (replace(WINDOWS, long_paths=None, target_length=120), "disk", "not known"),
    ],
)
def test_windows_failures_are_named(facts: HostFacts, layer: str, word: str) -> None:
    """Each of Windows' own troubles fails its layer and is named."""
    result = _one(layer, facts)
    assert result.state is LayerState.FAIL
    assert word in result.evidence


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"PYTHONPATH": "~/x"}, "PYTHONPATH"),
        ({"PYTHONHOME": "/usr"}, "PYTHONHOME"),
        ({"SETVARS_COMPLETED": "1"}, "setvars"),
        ({"LD_LIBRARY_PATH": "/opt/intel/oneapi/mkl/lib"}, "LD_LIBRARY_PATH"),
        ({"ONEAPI_DEVICE_SELECTOR": "opencl:cpu"}, "ONEAPI_DEVICE_SELECTOR"),
        ({"ONEAPI_DEVICE_SELECTOR": "level_zero:cpu;opencl:gpu"}, "ONEAPI_DEVICE_SELECTOR"),
        ({"ONEAPI_DEVICE_SELECTOR": "*:*;!level_zero:*"}, "ONEAPI_DEVICE_SELECTOR"),
        ({"SYCL_DEVICE_FILTER": "host"}, "SYCL_DEVICE_FILTER"),
        ({"ZE_AFFINITY_MASK": "1"}, "ZE_AFFINITY_MASK"),
    ],
)
def test_poisoned_environments_fail(variables: dict[str, str], word: str) -> None:
    """Each inherited variable that turns the stack away from its GPU or packages is named."""
    result = _one("variables", replace(LINUX, variables=variables))
    assert result.state is LayerState.FAIL
    assert word in result.evidence


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LD_LIBRARY_PATH": "/usr/local/cuda/lib64"},
        {"ONEAPI_DEVICE_SELECTOR": "level_zero:0"},
        {"ONEAPI_DEVICE_SELECTOR": "level_zero:gpu"},
        {"ONEAPI_DEVICE_SELECTOR": "*:gpu"},
        {"ONEAPI_DEVICE_SELECTOR": "opencl:cpu;level_zero:0,1"},
        {"ONEAPI_DEVICE_SELECTOR": "!opencl:*"},
        {"SYCL_DEVICE_FILTER": "level_zero:gpu"},
        {"ZE_AFFINITY_MASK": "0"},
        {"ZE_AFFINITY_MASK": "0.0,1"},
        {"SYCL_CACHE_PERSISTENT": "1"},
    ],
)
def test_harmless_environments_pass(variables: dict[str, str]) -> None:
    """Variables that leave the GPU visible are no failure."""
    assert _one("variables", replace(LINUX, variables=variables)).state is LayerState.PASS


def test_oneapi_from_the_system_is_right_where_the_stack_wants_it() -> None:
    """A stack that takes oneAPI from the system does not fail over `setvars`."""
    facts = replace(LINUX, variables={"SETVARS_COMPLETED": "1"})
    assert _one("variables", facts, replace(XPU, system_oneapi=True)).state is LayerState.PASS


def test_what_activation_sets_wins_over_what_is_inherited() -> None:
    """A device selector of the profile mends an inherited one."""
    facts = replace(LINUX, variables={"ONEAPI_DEVICE_SELECTOR": "opencl:cpu"})
    wanted = replace(XPU, variables={"ONEAPI_DEVICE_SELECTOR": "level_zero:0"})
    assert _one("variables", facts, wanted).state is LayerState.PASS


def test_indexes_are_judged_by_name() -> None:
    """A silent index fails with its reason, one that was not asked is unknown, none is not needed."""
    wanted = replace(XPU, indexes=("pypi", "pytorch-xpu"))
    reached = Reach(name="pypi", reached=True)
    silent = Reach(name="pytorch-xpu", reached=False, detail="timed out")
    assert _one("indexes", LINUX).state is LayerState.NOT_NEEDED
    assert _one("indexes", replace(LINUX, reach=(reached,)), wanted).state is LayerState.UNKNOWN
    failure = _one("indexes", replace(LINUX, reach=(reached, silent)), wanted)
    assert failure.state is LayerState.FAIL
    assert "timed out" in failure.evidence


@pytest.mark.parametrize(
    ("facts", "torch", "word"),
    [
        (_installed(numpy="1.26.4"), "xpu", "torch is missing"),
        (_installed(torch="2.6.0+cpu"), "xpu", "`torch 2.6.0+cpu` is not of torch variant `xpu`"),
        (_installed(torch="2.6.0"), "xpu", "`torch 2.6.0`"),
        (_installed(torch="2.6.0+xpu", torchvision="0.21.0"), "xpu", "`torchvision 0.21.0`"),
        (
            _installed(torch="2.1.0a0+cxx11.abi", intel_extension_for_pytorch="2.3.110+xpu"),
            "ipex",
            "there is IPEX 2.3.110+xpu",
        ),
        (_installed(torch="2.6.0+xpu", bigdl_core_xe_21="2.6.0"), "xpu", "bigdl-core-xe-21"),
        (
            _installed(torch="2.6.0+xpu", intel_sycl_rt="2025.0.2", dpcpp_cpp_rt="2024.2.1"),
            "xpu",
            "oneAPI runtimes of 2 releases",
        ),
        (_code_says("2.13.0+cu130", recorded="2.13.0"), "cpu", "`torch 2.13.0+cu130` is not of"),
        (_code_says("2.12.0+cpu", recorded="2.13.0+cpu"), "cpu", "torch's files are those of 2.12.0+cpu"),
        (_code_says("2.13.0+cu130", recorded="2.13.0+cpu"), "cpu", "its package record is that of"),
    ],
)
def test_broken_environments_are_named(facts: HostFacts, torch: str, word: str) -> None:
    """What breaks a rule of the packages around torch is named, and `repair` is offered."""
    result = _one("environment", facts, replace(XPU, built=True, torch=TorchVariant(torch)))
    assert result.state is LayerState.FAIL
    assert word in result.evidence
    assert "provision repair" in str(result.hint)


@pytest.mark.parametrize(
    ("facts", "torch"),
    [
        (_installed(torch="2.13.0+cpu"), "cpu"),
        (_code_says("2.13.0+cpu", recorded="2.13.0+cpu"), "cpu"),
        (_code_says("2.13.0+cpu", recorded="2.13.0"), "cpu"),
        (
            _installed(
                torch="2.1.0a0+cxx11.abi",
                torchvision="0.16.0a0+cxx11.abi",
                intel_extension_for_pytorch="2.1.10+xpu",
                bigdl_core_xe_21="2.6.0",
                dpcpp_cpp_rt="2024.0.2",
                mkl_dpcpp="2024.0.0",
            ),
            "ipex",
        ),
        (_installed(torch="2.6.0+xpu", bigdl_core_xe_all="2.6.0", intel_sycl_rt="2025.0.2"), "xpu"),
    ],
)
def test_the_published_stacks_pass(facts: HostFacts, torch: str) -> None:
    """The combinations that Intel and PyTorch publish break no rule."""
    wanted = replace(XPU, built=True, torch=TorchVariant(torch))
    assert _one("environment", facts, wanted).state is LayerState.PASS


def test_drift_and_missing_libraries_are_named() -> None:
    """A changed file and a missing library each fail the environment by name."""
    wanted = replace(XPU, built=True, torch=TorchVariant.XPU)
    facts = _installed(torch="2.6.0+xpu")
    assert facts.environment is not None
    sound = replace(facts.environment, distributions={"torch": "2.6.0+xpu"})
    drifted = replace(facts, environment=replace(sound, locked={"torch": "2.6.0+xpu", "numpy": "1.26.4"}))
    assert "numpy is missing (locked 1.26.4)" in _one("environment", drifted, wanted).evidence
    library = "libmkl_intel_lp64.so.2 (needed by torch/lib/libtorch_cpu.so)"
    short = replace(facts, environment=replace(sound, missing_libraries=(library,)))
    assert "libmkl_intel_lp64.so.2" in _one("environment", short, wanted).evidence
    unread = replace(facts, environment=replace(sound, locked=None))
    assert _one("environment", unread, wanted).state is LayerState.UNKNOWN


@pytest.mark.parametrize(
    ("torch", "device", "expected"),
    [
        (
            TorchFacts(version="2.6.0", devices=("Arc A770",), kernel_ran=True),
            "xpu",
            ("not asked", "not asked"),
        ),
        (TorchFacts(version="2.6.0", devices=(), kernel_ran=None), "xpu", ("fail", "unknown")),
        (TorchFacts(version="2.6.0", devices=("Arc A770",), kernel_ran=False), "xpu", ("not asked", "fail")),
        (TorchFacts(error="libze_loader.so.1: no such file"), "xpu", ("fail", "unknown")),
        (TorchFacts(), "xpu", ("unknown", "unknown")),
        (TorchFacts(version="2.6.0", unasked="it ended before"), "xpu", ("unknown", "unknown")),
        (TorchFacts(version="2.6.0", unasked="it ended before"), "cpu", ("unknown", "unknown")),
        (TorchFacts(version="2.13.0", kernel_ran=True), "cpu", ("not asked", "not asked")),
        (TorchFacts(error="no module named torch"), "cpu", ("fail", "unknown")),
    ],
)
def test_what_torch_says_is_judged(torch: TorchFacts, device: str, expected: tuple[str, str]) -> None:
    """Seeing the device and running a kernel are two layers; what was seen earlier is no pass for today."""
    results = judge_layers(
        replace(LINUX, torch=torch), WantedHost(device=device, built=True), layers=["torch", "kernel"]
    )
    assert tuple(result.state.value for result in results.values()) == expected


def test_a_kernel_that_never_ran_has_its_reason() -> None:
    """The layer says what was missed and why; where the stack has no torch, nothing is said of it."""
    wanted = WantedHost(device="xpu", built=True, torch=TorchVariant.NONE)
    absent = replace(LINUX, torch=TorchFacts(devices=(), error="OpenVINO sees no `xpu` device"))
    result = _one("kernel", absent, wanted)
    assert result.evidence.endswith("ran no kernel on a device of kind `xpu`: OpenVINO sees no `xpu` device")
    assert "torch" not in str(result.hint)
    assert "torch" not in str(_one("kernel", LINUX, wanted).hint)


def test_what_a_profile_wants_follows_from_its_stack() -> None:
    """oneAPI, torch's build and variables are those of the profile's stack and platform."""
    envs = (Path(__file__).parents[3] / "envs",)
    arc, cpu = load_profile("llama3-arc", folders=envs), load_profile("llama3-cpu", folders=envs)
    linux = wanted_host(arc, platform="linux-64")
    assert (linux.uses_gpu, linux.torch, linux.system_oneapi) == (True, "ipex", True)
    assert linux.variables["LD_LIBRARY_PATH"] == "{prefix}/lib"
    wanted = wanted_host(cpu, platform="linux-64", built=True)
    assert (wanted.uses_gpu, wanted.torch, wanted.built) == (False, "cpu", True)
    assert wanted.install_bytes < linux.install_bytes


def test_the_card_decides_the_class_of_the_machine() -> None:
    """A card comes before an integrated GPU, and a GPU that no stack runs on has no class."""
    integrated, old = replace(A770, device="7d55"), replace(A770, device="4680")
    assert find_gpu_class(replace(LINUX, displays=(old, integrated, A770))) == "arc-a"
    assert find_gpu_class(replace(LINUX, displays=(old, integrated))) == "integrated"
    assert find_gpu_class(replace(LINUX, displays=(old,))) is None
    assert find_gpu_class(HostFacts(os="linux")) is None


def test_the_gate_lets_a_sound_machine_through() -> None:
    """No obstacle on a sound machine, and none over what is only unknown."""
    assert find_obstacle(LINUX, XPU, profile="llama3-arc") is None
    assert find_obstacle(HostFacts(os="linux"), XPU, profile="llama3-arc") is None


@pytest.mark.parametrize(
    ("facts", "code", "exit_code"),
    [
        (replace(LINUX, displays=()), "gate.gpu", ExitCode.UNVALIDATED),
        (
            replace(LINUX, displays=(replace(A770, driver=""),)),
            "gate.kernel_driver",
            ExitCode.UNVALIDATED,
        ),
        (replace(LINUX, nodes=()), "gate.device_nodes", ExitCode.UNVALIDATED),
        (replace(LINUX, disk_free_bytes=GIB), "gate.disk", ExitCode.INSTALL),
    ],
)
def test_the_gate_stops_before_the_download(facts: HostFacts, code: str, exit_code: ExitCode) -> None:
    """The first broken cheap layer stops the build with its own code, and the way round is offered."""
    error = find_obstacle(facts, XPU, profile="llama3-arc")
    assert error is not None
    assert error.code == code
    assert error.exit_code == exit_code
    assert code == "gate.disk" or "`--device cpu`" in error.hints[-1]
