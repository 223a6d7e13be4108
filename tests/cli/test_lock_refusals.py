"""`lock` names the cause of a set of packages that cannot be, or would not run, and not another one's."""

import sys
from collections.abc import Sequence

import pytest

from tests.cli.lab import Lab, Outcome
from tests.conda_channel import make_package, write_channel
from tests.index_server import PackageIndex

SEED = "Could not run 'torch_ipex::mul_add'"
IPEX = "intel-extension-for-pytorch"
CPU_TORCH = ("torch", "torch", "2.13.0+cpu")
ARC = {"torch: cpu": "torch: ipex", "device: cpu": "device: xpu", "2.13.0+cpu": "2.1.0"}
Offer = tuple[str, ...]  # index, project, version, requirements


def lock(lab: Lab, *offers: Offer, changes: dict[str, str] | None = None) -> Outcome:
    """Fill the indexes and lock the profile, whose package is `tinyapp`."""
    indexes = {name: PackageIndex(lab.server, name) for name in ("simple", "torch")}
    for index, project, version, *requires in offers:
        indexes[index].add(project, version, *requires)
    lab.write_profile(changes=changes)
    return lab.run("lock", "tiny", "--json")


def sentences(shown: Outcome) -> str:
    """Return the one error of a refusal with its hints."""
    assert shown.code == 3
    (error,) = shown.document["errors"]
    return " ".join((error["message"], *error["hints"]))


def test_an_unrouted_torchvision_of_a_dependency_is_the_cause(lab: Lab) -> None:
    """The solver finds two versions of torch that fight; what is wrong is where torchvision comes from."""
    shown = lock(
        lab,
        CPU_TORCH,
        ("simple", "tinyapp", "1.0", "torchvision"),
        ("simple", "torchvision", "0.20.0", "torch==2.5.0"),
    )
    assert shown.error["code"] == "resolve.missing_route"
    assert "route `torchvision` to `pytorch-cpu`" in sentences(shown)


@pytest.mark.parametrize("version", ["0.28.0", "0.28.0+cu121"])
def test_a_torchvision_of_another_build_is_not_explained_with_ipex(version: str, lab: Lab) -> None:
    """What it dies in is its own operators, on any device."""
    shown = lock(
        lab, CPU_TORCH, ("simple", "tinyapp", "1.0", "torchvision"), ("simple", "torchvision", version)
    )
    assert shown.error["code"] == "resolve.kin_variant"
    assert f"`torchvision {version}` is not of torch variant `cpu`" in sentences(shown)
    assert "operator torchvision::nms does not exist" in sentences(shown)
    assert SEED not in sentences(shown)


def test_a_dozen_packages_of_another_torch_are_one_sentence(lab: Lab) -> None:
    """Torch stands first, and who brings it is what has to go; the packages around it are counted."""
    kin = [f"nvidia-{name}-cu12" for name in ("cublas", "cudnn", "cufft", "curand", "nccl")]
    shown = lock(
        lab,
        ("simple", "tinyapp", "1.0", "middle"),
        ("simple", "middle", "1.0", "torch"),
        ("simple", "torch", "2.13.0", *kin, "triton"),
        *(("simple", name, "1.0") for name in (*kin, "triton")),
        changes={
            "    - torch==2.13.0+cpu\n": "",
            "  routes:\n    torch: pytorch-cpu\n": "",
        },
    )
    assert shown.error["code"] == "resolve.torch_variant"
    told = sentences(shown)
    assert "`torch 2.13.0` is not of torch variant `cpu`, nor are `nvidia-cublas-cu12`" in told
    assert "and 3 more; `tinyapp` brings it" in told
    assert "or drop `tinyapp`, if it takes no other torch" in told


def test_ipex_of_a_dependency_is_not_explained_with_ipex_llm(lab: Lab) -> None:
    """Nobody has ipex-llm here: IPEX itself is what does not fit."""
    shown = lock(lab, CPU_TORCH, ("simple", "tinyapp", "1.0", IPEX), ("simple", IPEX, "2.8.0"))
    assert shown.error["code"] == "resolve.ipex_without_ipex_llm"
    assert "IPEX fits one release of torch only" in sentences(shown)
    assert "ipex-llm" not in sentences(shown)


@pytest.mark.parametrize(("version", "fits"), [("2.1.10+xpu", True), ("2.3.110+xpu", False)])
def test_ipex_without_ipex_llm_is_judged_by_torch_alone(version: str, lab: Lab, *, fits: bool) -> None:
    """Where torch's variant is `ipex`, an IPEX of torch's own release is right."""
    route = {"    torch: pytorch-cpu": f"    torch: pytorch-cpu\n    {IPEX}: pytorch-cpu"}
    changes = ARC | route | {"- tinyapp": f"- {IPEX}=={version}"}
    shown = lock(lab, ("torch", "torch", "2.1.0+cxx11.abi"), ("torch", IPEX, version), changes=changes)
    if fits:
        assert shown.code == 0, shown.err
    else:
        assert "needs 2.1.*+xpu; IPEX fits one release of torch only" in sentences(shown)


@pytest.mark.parametrize("chain", [("thing",), ("thing", "mid")])
@pytest.mark.skipif(sys.platform == "win32", reason="the channel is one of Linux")
def test_condas_torch_is_named_with_what_brings_it(chain: Sequence[str], lab: Lab) -> None:
    """Another conda package brings it: that one is what the profile can drop; no wheel is asked for."""
    needs = dict(zip(chain, (*chain[1:], "pytorch"), strict=True))
    packages = [make_package(name, "1.0", {}, depends=[needed]) for name, needed in needs.items()]
    versions = {"python": f"{sys.version_info.major}.{sys.version_info.minor}.9", "pytorch": "2.5.1"}
    packages += [make_package(name, version, {}) for name, version in versions.items()]
    write_channel(lab.root / "channel", packages)
    place = (lab.root / "channel").as_uri()
    lab.root.joinpath("provision.yaml").write_text(
        f"mirrors: {{https://conda.example.org/channel/: {place}/}}\n", encoding="utf-8"
    )
    conda = "conda:\n  channels: [https://conda.example.org/channel]\n  packages: [thing]\npip:\n"
    shown = lock(lab, changes={"pip:\n": conda})
    assert shown.error["code"] == "resolve.conda_torch"
    told = ", that by ".join(f"`{name}`" for name in reversed(chain))
    assert f"conda's `pytorch`, asked for by {told}, " in sentences(shown)
    assert "drop `thing` from `conda.packages`" in sentences(shown)
    assert lab.server.requests == []
