"""The software XPU keeps a real device's promises, and breaks them on command."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.torch]


Answer = Callable[..., Any]  # the fixtures of conftest.py
Run = Callable[..., subprocess.CompletedProcess[str]]

REFUSALS = """
import torch
x = torch.randn(4, 8, device="xpu")
def refusal(make):
    try:
        make()
    except RuntimeError as error:
        return type(error).__name__ + ": " + str(error)
    return "accepted"
"""


def test_tensors_say_xpu_and_survive_the_round_trip(answer: Answer) -> None:
    """A copy to the device and back is bit for bit the same, for every layout a model uses."""
    got = answer(
        """
import torch
kinds = [torch.randn(3, 5), torch.randn(3, 5).half(), torch.randn(3, 5).bfloat16(), torch.randn(5, 3).T,
         torch.arange(7), torch.rand(4) > 0.5, torch.tensor(3.0), torch.empty(0, 4),
         torch.randn(4, 6)[::2, 1:4], torch.randn(3, dtype=torch.complex64),
         torch.randn(3, dtype=torch.complex64).conj()]
answer = {"device": sorted({str(k.to("xpu").device) for k in kinds}),
          "same": [bool(torch.equal(k.to("xpu").cpu(), k)) for k in kinds]}
""",
    )
    assert got == {"device": ["xpu:0"], "same": [True] * 11}


def test_views_share_memory(answer: Answer) -> None:
    """Writing through a view is seen by its base: views are not copies in disguise."""
    got = answer(
        """
import torch
base = torch.zeros(2, 6, device="xpu")
base.view(-1)[0] = 1
base[:, 1].fill_(2)
base.T[2, 0] = 3
base.unfold(1, 2, 2)[1, 2, 1] = 4
base.reshape(3, 4)[1].add_(10)
answer = base.cpu().tolist()
""",
    )
    assert got == [[1, 2, 3, 0, 10, 10], [10, 12, 0, 0, 0, 4]]


def test_kernels_equal_the_cpu(answer: Answer) -> None:
    """Matrix products, attention, normalisation and their gradients give the CPU's numbers."""
    got = answer(
        """
import torch
from torch.nn import functional as F
torch.manual_seed(1)
def work(device, q, w):
    q, w = q.to(device), w.detach().to(device).requires_grad_()
    h = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    mask = torch.ones(5, 5, dtype=torch.bool, device=device).tril()
    masked = F.scaled_dot_product_attention(q, q, q, attn_mask=mask)
    out = F.layer_norm(F.gelu(h + masked) @ w, (3,)).pow(3)
    out.sum().backward()
    return [t.detach().cpu() for t in (h, masked, out, w.grad)]
q, w = torch.randn(1, 2, 5, 8), torch.randn(8, 3)
answer = max(float((a - b).abs().max()) for a, b in zip(work("cpu", q, w), work("xpu", q, w)))
""",
    )
    assert got < 1e-4  # fp32 in another order of sums; on one CPU 1e-6, on another 1.4e-5


@pytest.mark.parametrize(
    "expression",
    [
        "x @ torch.randn(8, 3)",
        "x + torch.randn(4, 8)",
        "torch.nn.functional.linear(x, torch.randn(3, 8))",
        "torch.nn.functional.embedding(torch.tensor([1], device='xpu'), torch.randn(5, 4))",
        "torch.nn.functional.layer_norm(x, (8,), torch.ones(8))",
        "torch.cat([x, torch.randn(4, 8)])",
        "torch.where(x > 0, x, torch.randn(4, 8))",
        "torch.ops.torch_ipex.mul_add(x, torch.randn(4, 8), x, 1)",
    ],
)
def test_mixed_devices_are_refused(answer: Answer, expression: str) -> None:
    """An operator that gets tensors of both devices fails with PyTorch's sentence, as on hardware."""
    got = answer(f"{REFUSALS}\nanswer = refusal(lambda: {expression})")
    assert got.startswith("RuntimeError: Expected all tensors to be on the same device, but ")
    assert "cpu" in got
    assert "xpu:0" in got


def test_what_hardware_accepts_of_the_cpu_is_accepted(answer: Answer) -> None:
    """CPU scalars and CPU indices work with device tensors."""
    got = answer(
        f"{REFUSALS}\nanswer = [str((x * torch.tensor(2.0)).device), list(x[torch.tensor([0, 1])].shape)]",
    )
    assert got == ["xpu:0", [2, 8]]


def test_mul_add_exists_for_xpu_only(answer: Answer) -> None:
    """IPEX's operator computes on the device and refuses CPU tensors with the sentence users report."""
    got = answer(
        f"{REFUSALS}\nmul_add = torch.ops.torch_ipex.mul_add\nc = x.cpu()\n"
        "same = bool(torch.equal(mul_add(x, x, x, 2).cpu(), c * c + 2 * c))\n"
        "answer = [same, refusal(lambda: mul_add(c, c, c, 2))]",
    )
    assert got[0]
    assert got[1].startswith(
        "NotImplementedError: Could not run 'torch_ipex::mul_add' with arguments from the 'CPU' backend."
    )


def test_torch_xpu_answers(answer: Answer) -> None:
    """Every question asked of `torch.xpu` is answered, and the name says that it is software."""
    got = answer(
        r"""
import pathlib, re, torch
p = torch.xpu.get_device_properties(0)
stub = (pathlib.Path(torch.__file__).parent / "_C" / "__init__.pyi").read_text()
names = re.findall(r"^    (\w+):", stub.split("class _XpuDeviceProperties:")[1].split("class ")[0], re.M)
torch.xpu.set_device(0)
before = torch.xpu.memory_allocated()
t = torch.empty(1024, device="xpu")
during = torch.xpu.memory_allocated()
del t
peak = torch.xpu.max_memory_allocated()
torch.xpu.reset_peak_memory_stats()
reset = torch.xpu.max_memory_allocated()
torch.xpu.synchronize()
torch.xpu.empty_cache()
torch.xpu.manual_seed(3)
first = torch.randn(4, device="xpu")
torch.xpu.manual_seed(3)
answer = {"available": torch.xpu.is_available(), "count": torch.xpu.device_count(),
          "name": torch.xpu.get_device_name(), "current": torch.xpu.current_device(),
          "archs": torch.xpu.get_arch_list(), "bf16": torch.xpu.is_bf16_supported(),
          "memory": [during - before, peak - before, reset - before],
          "seeded": bool(torch.equal(first, torch.randn(4, device="xpu"))),
          "total": torch.xpu.mem_get_info()[1] == p.total_memory,
          "version": torch.version.xpu, "accelerator": str(torch.accelerator.current_accelerator()),
          "missing": [name for name in names if not hasattr(p, name)], "names": len(names),
          "capability": torch.xpu.get_device_capability()["type"]}
""",
    )
    assert "oftware" in got.pop("name")
    assert got == {
        "available": True,
        "count": 1,
        "current": 0,
        "archs": ["softxpu"],
        "bf16": True,
        "memory": [4096, 4096, 0],
        "seeded": True,
        "total": True,
        "version": "software",
        "accelerator": "xpu",
        "missing": [],
        "names": 28,
        "capability": "gpu",
    }


def test_two_devices_are_told_apart(answer: Answer) -> None:
    """With two devices the first is integrated, tensors stay where they were put, mixing them fails."""
    code = f"""{REFUSALS}
a = torch.ones(2, 2, device="xpu:1")
with torch.xpu.device(1):
    inside = str(torch.zeros(1, device="xpu").device)
answer = [[torch.xpu.get_device_properties(i).is_integrated_gpu for i in range(torch.xpu.device_count())],
          str((a @ a).device), inside, str(torch.zeros(1, device="xpu").device), str(a.to("xpu:0").device),
          refusal(lambda: a + a.to("xpu:0")), refusal(lambda: torch.zeros(1, device="xpu:2"))]
"""
    got = answer(code, {"SOFTXPU_DEVICES": "2"})
    assert got[:5] == [[True, False], "xpu:1", "xpu:1", "xpu:0", "xpu:0"]
    assert "found at least two devices, xpu:1 and xpu:0!" in got[5]
    assert "The device index is out of range. It must be in [0, 2), but got 2." in got[6]


@pytest.mark.parametrize("variable", [{"ONEAPI_DEVICE_SELECTOR": "level_zero:1"}, {"ZE_AFFINITY_MASK": "1"}])
def test_selectors_hide_devices(answer: Answer, variable: dict[str, str]) -> None:
    """The variables that users set to hide an iGPU leave the discrete device alone."""
    code = """
import torch
answer = [torch.xpu.device_count(), torch.xpu.get_device_properties(0).is_integrated_gpu]
"""
    assert answer(code, {"SOFTXPU_DEVICES": "2", **variable}) == [1, False]


LLAMA = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.manual_seed(0)
config = LlamaConfig(vocab_size=128, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                     num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
                     pad_token_id=0)
config._attn_implementation = IMPLEMENTATION
model = LlamaForCausalLM(config).eval()
prompt = torch.arange(3, 19)[None]
def run(device):
    model.to(device)
    with torch.no_grad():
        logits = model(prompt.to(device)).logits
        mask = torch.ones_like(prompt).to(device)
        tokens = model.generate(prompt.to(device), attention_mask=mask, max_new_tokens=8, do_sample=False)
    return logits, tokens
"""


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_llama_equals_the_cpu(answer: Answer, implementation: str) -> None:
    """A transformers Llama gives the CPU's logits and the CPU's tokens, on the device."""
    code = f"""IMPLEMENTATION = {implementation!r}
{LLAMA}
(logits, tokens), (on_xpu, xpu_tokens) = run("cpu"), run("xpu")
difference = float((on_xpu.cpu() - logits).abs().max())
answer = [str(on_xpu.device), difference, tokens.tolist() == xpu_tokens.tolist()]
"""
    device, difference, same_tokens = answer(code)
    assert device == "xpu:0"
    assert difference < 1e-5
    assert same_tokens


def test_weights_left_on_the_cpu_fail(answer: Answer) -> None:
    """A model of which one part stayed on the CPU fails in its forward pass, not silently."""
    code = f"""IMPLEMENTATION = "eager"
{LLAMA}
model.to("xpu").model.layers[1].mlp.to("cpu")
try:
    model(prompt.to("xpu"))
    answer = "passed"
except RuntimeError as error:
    answer = str(error)
"""
    assert answer(code).startswith("Expected all tensors to be on the same device, but got mat2 is on cpu")


STAGES = """
import torch
print("import", flush=True)
count = torch.xpu.device_count()
print(f"count {count}", flush=True)
torch.xpu.get_device_properties(0)
print("properties", flush=True)
a = torch.ones(64, 64).to("xpu")
print("copy", flush=True)
b = a @ a
torch.xpu.synchronize()
print(f"matmul {b.device} {b[0, 0].item():g}", flush=True)
c = torch.zeros(3, 1024, 1024, device="xpu")
print("memory", flush=True)
"""
COUNTED, PROPERTIES, COPIED = (
    ["import", "count 1"],
    ["import", "count 1", "properties"],
    ["import", "count 1", "properties", "copy"],
)
RIGHT, ALL = [*COPIED, "matmul xpu:0 64"], [*COPIED, "matmul xpu:0 64", "memory"]
SIGSEGV, SIGABRT = -11, -6


@pytest.mark.parametrize(
    ("fault", "stages", "code", "last_words"),
    [
        ("", ALL, 0, ""),
        ("absent", ["import", "count 0"], 1, "RuntimeError: No XPU devices are available."),
        ("crash-available", ["import"], SIGSEGV, ""),
        ("crash-properties", COUNTED, SIGSEGV, ""),
        (
            "oom",
            RIGHT,
            1,
            "torch.OutOfMemoryError: XPU out of memory. Tried to allocate 12.00 MiB. GPU 0 has a total",
        ),
        (
            "device-lost",
            COPIED,
            1,
            "RuntimeError: level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)",
        ),
        ("device-lost@1", ALL, 0, ""),
        ("crash-kernel", COPIED, SIGSEGV, ""),
        ("nan", [*COPIED, "matmul xpu:0 nan", "memory"], 0, ""),
        ("wrong", [*COPIED, "matmul xpu:0 70.5", "memory"], 0, ""),
        ("cpu-result", [*COPIED, "matmul cpu 64", "memory"], 0, ""),
        ("crash-exit", ALL, SIGABRT, ""),
        ("misspelt", [], 1, "Failed to load the backend extension: softxpu"),
    ],
)
def test_faults(run: Run, fault: str, stages: list[str], code: int, last_words: str) -> None:
    """Each fault lets the stages before it pass, then fails in its own way."""
    done = run(STAGES, {"SOFTXPU_FAULT": fault})
    assert (done.stdout.splitlines(), done.returncode) == (stages, code), done.stderr
    assert last_words in done.stderr


@pytest.mark.parametrize(
    ("fault", "stages"), [("hang-properties", COUNTED), ("hang", PROPERTIES), ("hang@1", COPIED)]
)
def test_hangs(run: Run, fault: str, stages: list[str]) -> None:
    """A hang stays in the call that it names until the process is killed."""
    with pytest.raises(subprocess.TimeoutExpired) as hung:
        run(STAGES, {"SOFTXPU_FAULT": fault}, timeout=10)
    assert (hung.value.stdout or b"").decode().splitlines() == stages


def test_host_memory_runs_into_the_cap(run: Run) -> None:
    """The fault that eats host memory ends at the caller's cap, with PyTorch's own sentence."""
    done = run(STAGES, {"SOFTXPU_FAULT": "host-oom"}, cap_bytes=3 << 30)
    assert (done.stdout.splitlines(), done.returncode) == (COPIED, 1)
    assert "DefaultCPUAllocator: can't allocate memory: you tried to allocate 67108864 bytes" in done.stderr


def test_without_autoload_there_is_no_xpu(answer: Answer) -> None:
    """PyTorch's own switch turns the software device off: the same environment then has none."""
    code = "import torch\nanswer = [torch.xpu.is_available(), torch.version.xpu]"
    assert answer(code, {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}) == [False, None]
