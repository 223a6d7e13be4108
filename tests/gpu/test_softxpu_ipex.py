"""ipex-llm 2.2.0 runs its own XPU paths on the software XPU: low-bit weights and every fused kernel."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.torch]

Answer = Callable[..., Any]  # the fixture of conftest.py

# The vocabulary's size is no other layer's: ipex-llm takes a layer of that width for the output layer.
LLAMA = """
import collections, copy, torch
import xe_addons, xe_batch, xe_linear
from transformers import LlamaConfig, LlamaForCausalLM
from ipex_llm import optimize_model
calls = collections.Counter()
def count(module, name):
    kernel = getattr(module, name)
    def counted(*arguments):
        calls[name] += 1
        return kernel(*arguments)
    setattr(module, name, counted)
for name in ("rms_norm", "rotary_half_inplaced", "sdp_causal", "sdp"):
    count(xe_addons, name)
count(xe_linear, "forward_new"), count(xe_linear, "mlp_forward_xpu"), count(xe_batch, "batch_forward")
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=320, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0)).eval()
prompt = torch.arange(3, 11)[None]
def difference(got, wanted):
    return float((got.cpu().float() - wanted).norm() / wanted.norm())
"""


@pytest.mark.parametrize(
    ("low_bit", "limit"),
    [
        ("fp16", 0.005),
        ("bf16", 0.02),
        ("sym_int8", 0.06),
        ("fp8_e4m3", 0.15),
        ("fp8", 0.3),
        ("sym_int4", 0.35),
    ],
)
def test_llama_of_every_precision(answer: Answer, low_bit: str, limit: float) -> None:
    """The optimised model is as near to fp32 as its format allows, for the prompt and for a cached token."""
    on_xpu, prompt, token = answer(
        f"""{LLAMA}
with torch.no_grad():
    optimised = optimize_model(copy.deepcopy(model), low_bit={low_bit!r}).to("xpu")
    first = optimised(prompt.to("xpu"), use_cache=True)
    next_token = torch.tensor([[7]])
    second = optimised(next_token.to("xpu"), past_key_values=first.past_key_values).logits
    whole = model(torch.cat([prompt, next_token], 1)).logits
answer = [str(second.device), difference(first.logits[:, -1], whole[:, -2]),
          difference(second[:, 0], whole[:, -1])]
"""
    )
    assert on_xpu == "xpu:0"
    assert prompt < limit
    assert token < limit


def test_the_fused_kernels_run(answer: Answer) -> None:
    """Low bit on the device goes through every kernel that the real stack would call, also for one token."""
    calls = answer(
        f"""{LLAMA}
optimised = optimize_model(model, low_bit="sym_int4").to("xpu")
optimised.generate(prompt.to("xpu"), max_new_tokens=3, do_sample=False)
answer = dict(calls)
"""
    )
    assert set(calls) == {
        "rms_norm",
        "rotary_half_inplaced",
        "sdp_causal",
        "sdp",
        "forward_new",
        "mlp_forward_xpu",
        "batch_forward",
    }


@pytest.mark.parametrize(
    ("low_bit", "limit"),
    [
        ("sym_int4", 0.11),
        ("asym_int4", 0.11),
        ("sym_int8", 0.01),
        ("nf4", 0.11),
        ("fp4", 0.13),
        ("fp8_e5m2", 0.11),
        ("fp8_e4m3", 0.05),
    ],
)
def test_weights_unpack_to_what_was_packed(answer: Answer, low_bit: str, limit: float) -> None:
    """What ipex-llm packs for the device is unpacked to the weight, within the format's rounding."""
    got = answer(
        f"""
import torch, xe_linear
from ipex_llm.transformers.low_bit_linear import FP4Params, ggml_tensor_qtype
torch.manual_seed(0)
weight = torch.randn(48, 256)
packed = FP4Params(weight, qtype=ggml_tensor_qtype[{low_bit!r}]).to("xpu")
back = xe_linear.dequantise(packed.data, packed.qtype, 256)
answer = [packed.data.device.type, list(back.shape), float((back - weight).norm() / weight.norm())]
"""
    )
    assert got[:2] == ["xpu", [48, 256]]
    assert got[2] < limit


def test_a_format_that_cannot_be_unpacked_says_so(answer: Answer) -> None:
    """A format without a kernel here is an error, not wrong numbers."""
    got = answer(
        """
import torch, xe_linear
from ipex_llm.transformers.low_bit_linear import FP4Params, ggml_tensor_qtype
packed = FP4Params(torch.randn(4, 256), qtype=ggml_tensor_qtype["fp6"]).to("xpu")
try:
    answer = list(xe_linear.dequantise(packed.data, packed.qtype, 256).shape)
except NotImplementedError as error:
    answer = str(error)
"""
    )
    assert got == "the software xe_linear cannot unpack weights of ipex-llm's type 29"


def test_kernels_equal_their_formulas(answer: Answer) -> None:
    """Rotary embeddings, attention with grouped and 8-bit keys, and the norms match independent formulas."""
    got = answer(
        """
import torch, xe_addons
from torch.nn import functional as F
torch.manual_seed(0)
q, k, v = torch.randn(2, 4, 5, 64), torch.randn(2, 2, 5, 64), torch.randn(2, 2, 5, 64)
inverse, positions = 1 / 10000 ** (torch.arange(0, 64, 2) / 64), torch.arange(3, 8).repeat(2, 1)
turn = torch.polar(torch.ones(2, 1, 5, 32), (positions[..., None] * inverse)[:, None])
pairs = torch.view_as_real(torch.view_as_complex(q.unflatten(-1, (-1, 2))) * turn).flatten(-2)
as_pairs = q.unflatten(-1, (2, -1)).mT.contiguous()
halves = torch.view_as_real(torch.view_as_complex(as_pairs) * turn).mT.flatten(-2)
x = lambda t: t.clone().to("xpu")
def rotated(kernel):
    states = x(q)
    kernel(x(inverse), x(positions), states, x(k))
    return states
cached = x(q)
cos, sin = turn.real[:, 0].repeat(1, 1, 2), turn.imag[:, 0].repeat(1, 1, 2)
xe_addons.rotary_half_with_cache_inplaced(cached, x(k), x(cos), x(sin))
mask = torch.full((5, 128), float("-inf")).triu(1).expand(2, 4, 5, 128)
plain = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
k8, v8 = torch.empty(2, 2, 2, 5, 64, dtype=torch.uint8, device="xpu")
xe_addons.quantize_key_value(x(k), x(v), k8, v8)
k_back, v_back = x(k), x(v)
xe_addons.dequantize_key_value(k8, v8, k_back, v_back)
eight = F.scaled_dot_product_attention(q, k_back.cpu(), v_back.cpu(), is_causal=True, enable_gqa=True)
weight, bias = torch.randn(64), torch.randn(64)
softmax = x(q)
xe_addons.attn_softmax_inplaced(softmax)
wanted = {
    "two": (rotated(xe_addons.rotary_two_inplaced), pairs),
    "half": (rotated(xe_addons.rotary_half_inplaced), halves),
    "cached": (cached, halves),
    "causal": (xe_addons.sdp_causal(x(q), x(k), x(v), x(mask), 0.125), plain),
    "last": (xe_addons.sdp(x(q[:, :, -1:]), x(k), x(v), None), plain[:, :, -1:]),
    "fp8": (xe_addons.sdp_fp8_causal(x(q), k8, v8, x(mask), 0.125), eight),
    "rms": (xe_addons.rms_norm(x(weight), x(q[0, 0]), 1e-5), F.rms_norm(q[0, 0], (64,), weight, 1e-5)),
    "layer": (xe_addons.layer_norm(x(q[0, 0]), x(weight), x(bias), 1e-5),
              F.layer_norm(q[0, 0], (64,), weight, bias)),
    "softmax": (softmax, q.softmax(-1)),
}
answer = {name: float((got.cpu() - right).abs().max()) for name, (got, right) in wanted.items()}
answer["stored"] = float((k_back.cpu() - k).norm() / k.norm())
"""
    )
    assert got.pop("stored") < 0.1
    assert {name for name, difference in got.items() if difference > 1e-5} == set()
