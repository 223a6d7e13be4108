import pytest

from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.installed import explain_environment
from provisioner.diagnose.failures.model import System

CATALOGUE = load_catalogue()

# The pins of ipex-llm 2.2.0 [xpu] and [xpu_2.6], from its metadata.
XPU_21 = {
    "ipex-llm": "2.2.0",
    "torch": "2.1.0a0+cxx11.abi",
    "torchvision": "0.16.0a0+cxx11.abi",
    "intel-extension-for-pytorch": "2.1.10+xpu",
    "bigdl-core-xe-21": "2.6.0",
    "dpcpp-cpp-rt": "2024.0.2",
    "mkl-dpcpp": "2024.0.0",
    "mkl": "2024.0.0",
    "numpy": "1.26.4",
    "mpmath": "1.3.0",
    "sympy": "1.12",
    "transformers": "4.37.0",
    "tokenizers": "0.15.2",
    "accelerate": "0.23.0",
}
XPU_26 = {
    "ipex_llm": "2.2.0",
    "torch": "2.6.0+xpu",
    "torchvision": "0.21.0+xpu",
    "bigdl-core-xe-all": "2.6.0",
    "intel-sycl-rt": "2025.0.2",
    "pytorch-triton-xpu": "3.2.0",
    "numpy": "1.26.4",
    "transformers": "4.37.0",
}

# The profile chatglm2-cpu: ipex-llm without an extra, on an official torch.
CPU = {"ipex-llm": "2.2.0", "torch": "2.13.0+cpu", "numpy": "1.26.4", "transformers": "4.37.0"}


def ids(
    distributions: dict[str, str], system: System, files: tuple[str, ...] | None = ("Library/bin/uv.dll",)
) -> list[str]:
    return [match.id for match in explain_environment(distributions, CATALOGUE, system=system, files=files)]


@pytest.mark.parametrize("system", list(System))
@pytest.mark.parametrize("environment", [XPU_21, XPU_26, CPU], ids=["torch 2.1", "torch 2.6", "CPU"])
def test_a_right_environment_has_no_failure(environment: dict[str, str], system: System) -> None:
    """The pins of the released stacks trip no probe."""
    files = ("Library/bin/uv.dll", "lib/libmkl_core.so.2")
    assert ids(environment, system, files) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"intel-extension-for-pytorch": "2.3.110+xpu"},
            ["ipex-torch-minor-mismatch", "ipex-mul-add-cpu-backend"],
        ),
        ({"Intel_Extension.for-PyTorch": "2.1.30+xpu"}, ["ipex-mul-add-cpu-backend"]),
        ({"numpy": "2.1.2"}, ["numpy2-abi"]),
        ({"mpmath": "1.4.0a1"}, ["mpmath-rational"]),
        ({"transformers": "4.46.0", "trl": "0.12.1"}, ["pytree-register", "trl-top-k-top-p"]),
        ({"torchvision": "0.16.2+cpu"}, ["torchvision-nms-missing"]),
        ({"httpx": "0.28.1", "openai": "1.30.0"}, ["httpx-proxies"]),
    ],
)  # fmt: skip
def test_a_broken_environment_is_recognised(changes: dict[str, str], expected: list[str]) -> None:
    """Versions that do not belong together name the failures that they lead to."""
    environment = {name: text for name, text in XPU_21.items() if name != "intel-extension-for-pytorch"}
    environment |= changes if any("tension" in name for name in changes) else XPU_21 | changes
    assert ids(environment, System.LINUX, ("lib/libmkl_core.so.2",)) == expected


def test_a_torch_of_another_variant_is_recognised() -> None:
    """A torch from the default index under ipex-llm[xpu_2.6] is named."""
    assert "torch-not-compiled-xpu" in ids(XPU_26 | {"torch": "2.6.0"}, System.LINUX)


def test_an_ipex_beside_a_stack_without_one_is_the_seed() -> None:
    """IPEX for XPU beside an ipex-llm that needs none, and ipex-llm without what its extra brings."""
    ipex = {"intel-extension-for-pytorch": "2.8.10+xpu"}
    assert ids(CPU | ipex, System.LINUX) == ["ipex-torch-minor-mismatch", "ipex-mul-add-cpu-backend"]
    assert ids({"ipex-llm": "2.2.0"}, System.LINUX) == ["pip-extra-missing"]
    assert "pip-extra-missing" in ids(CPU | {"torch": "2.6.0+xpu"}, System.WINDOWS)


def test_files_count_only_where_they_are_known() -> None:
    """A missing uv.dll is found in the listing, with backslashes too, and not guessed without one."""
    assert ids(XPU_21, System.WINDOWS, ()) == ["win126-torch-backend-with-compiler"]
    assert ids(XPU_21, System.WINDOWS, ("Library\\bin\\UV.dll",)) == []
    assert ids(XPU_21, System.WINDOWS, None) == []


def test_the_evidence_names_what_was_seen() -> None:
    """A match says which versions gave it away, and has no line."""
    broken = XPU_21 | {"intel-extension-for-pytorch": "2.1.30+xpu"}
    (match,) = explain_environment(broken, CATALOGUE)
    assert "intel-extension-for-pytorch 2.1.30+xpu" in match.evidence
    assert match.line is None


def test_strange_versions_fulfil_nothing() -> None:
    """A version that is none is passed over."""
    assert ids({"torch": "unknown", "numpy": "", "transformers": "main-branch"}, System.LINUX) == []
