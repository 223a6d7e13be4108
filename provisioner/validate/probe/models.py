"""Load a model in fp32 on the CPU, then turn it into what the profile runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import comparison, low_bit
from .context import Context
from .devices import Device

SEED = 20240229
_RANDOM_PROMPT_LENGTH = 32
_TEMPLATES = {
    "chatglm2": "[Round 1]\n\n问\uff1a{prompt}\n\n答\uff1a",
    "chatglm": "{prompt}",
    "llama3": "{prompt}",
}


class RemoteCodeError(Exception):
    """A user's model folder wants to run its own code and was not allowed to."""


class FamilyError(Exception):
    """No small random model of a profile's family can be made."""


class UnsafeWeightsError(Exception):
    """A user's model folder has weights only in a format that can run code."""


def measure_weights(context: Context, measured: dict[str, Any]) -> None:
    """Load the model and the prompt."""
    import torch

    request = context.request
    if request["model_dir"]:
        measured["source"] = "model folder"
        context.model = load_folder(
            Path(request["model_dir"]), trust_remote_code=request["trust_remote_code"]
        )
        context.tokenizer, text = load_prompt(request)
        measured["prompt"] = text
        context.prompt = torch.tensor([context.tokenizer(text)["input_ids"]])
    elif request["weights_dir"]:
        measured["source"] = "weights folder"
        context.model = load_llama(Path(request["weights_dir"]))
        context.prompt = torch.tensor([request["prompt_ids"]])
    else:
        measured["source"] = f"random, seed {SEED}"
        context.model = build_random(request["family"], {})
        context.prompt = random_prompt(context.model, _RANDOM_PROMPT_LENGTH)
    lengths = (comparison.repeat(context.prompt, length) for length in comparison.LENGTHS)
    context.prompts = [context.prompt, *lengths]
    measured["class"] = type(context.model).__name__
    measured["parameters"] = count_parameters(context.model)
    measured["prompt_ids"] = context.prompt[0].tolist()


def load_llama(folder: Path) -> Any:
    """Return the Llama model of a folder, in fp32."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(str(folder), use_safetensors=True, local_files_only=True)
    return model.float().eval()


def load_folder(folder: Path, *, trust_remote_code: bool) -> Any:
    """Return a user's model, in fp32.

    Raises:
        RemoteCodeError: The folder's configuration names code of its own, and that was not allowed.
        UnsafeWeightsError: It has no safetensors; transformers 4.37 would read a pickle then, asked or not.
        MemoryError: The fp32 reference does not fit into the machine.
    """
    import transformers

    if not any((folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        raise UnsafeWeightsError(f"`{folder.name}` has no safetensors weights")
    _check_memory(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    wants_code = config.get("auto_map") or {}
    if wants_code and not trust_remote_code:
        raise RemoteCodeError(
            f"`{folder.name}` wants to run its own code: {', '.join(map(str, wants_code.values()))}"
        )
    name = "AutoModelForCausalLM"
    if wants_code and name not in wants_code:
        name = next((item for item in ("AutoModelForSeq2SeqLM", "AutoModel") if item in wants_code), name)
    model = getattr(transformers, name).from_pretrained(
        str(folder), use_safetensors=True, local_files_only=True, trust_remote_code=trust_remote_code
    )
    return model.float().eval()


def _check_memory(folder: Path) -> None:
    """Refuse early what would end with the system's out-of-memory killer (Linux)."""
    stored = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    needed = 2 * stored  # weights are stored in 16 bits; the reference has 32
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), needed)
    if needed > free:
        raise MemoryError(f"the fp32 reference needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free")


def load_prompt(request: dict[str, Any]) -> tuple[Any, str]:
    """Return the folder's tokenizer and the prompt in its own template, else in the family's."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        request["model_dir"], local_files_only=True, trust_remote_code=request["trust_remote_code"]
    )
    prompt = request["prompt"] or "The capital of France is"
    if getattr(tokenizer, "chat_template", None):
        turn = [{"role": "user", "content": prompt}]
        return tokenizer, tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    return tokenizer, _TEMPLATES.get(request["family"], "{prompt}").format(prompt=prompt)


def build_random(family: str, sizes: dict[str, Any]) -> Any:
    """Return a model with seeded random weights, in fp32; ``sizes`` override its small defaults."""
    import torch

    torch.manual_seed(SEED)
    if family == "chatglm2":
        from .chatglm2 import ChatGLMConfig, ChatGLMForConditionalGeneration

        return ChatGLMForConditionalGeneration(ChatGLMConfig(**sizes)).eval()
    defaults = {
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 4096,
    }
    if family == "chatglm":
        from transformers import GlmConfig, GlmForCausalLM

        defaults.update(head_dim=128, pad_token_id=0, eos_token_id=2)
        return GlmForCausalLM(GlmConfig(**{**defaults, **sizes})).eval()
    if family != "llama3":
        return _build_by_name(family, defaults)
    from transformers import LlamaConfig, LlamaForCausalLM

    options: dict[str, Any] = {**defaults, "rope_theta": 500000.0, "architectures": ["LlamaForCausalLM"]}
    return LlamaForCausalLM(LlamaConfig(**{**options, **sizes})).eval()


def _build_by_name(name: str, sizes: dict[str, Any]) -> Any:
    """Return a small model of an architecture that transformers has under this name.

    Raises:
        FamilyError: It has none, or one that takes its sizes under other names.
    """
    import transformers
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    if name not in CONFIG_MAPPING:
        raise FamilyError(f"transformers {transformers.__version__} has no architecture `{name}`")
    config = CONFIG_MAPPING[name](
        **sizes, head_dim=128, pad_token_id=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False
    )
    other = [key for key, value in sizes.items() if getattr(config, key, None) != value]
    if other or type(config) not in AutoModelForCausalLM._model_mapping:  # noqa: SLF001 - it has no public reader
        what = f"takes no `{other[0]}`" if other else "is no language model"
        raise FamilyError(f"`{name}` of transformers {transformers.__version__} {what}")
    return AutoModelForCausalLM.from_config(config).float().eval()


def random_prompt(model: Any, length: int) -> Any:
    """Return seeded token numbers, shape (1, length), that the model's embedding has."""
    import torch

    rows = getattr(model.config, "embedding_rows", None) or model.config.vocab_size
    generator = torch.Generator().manual_seed(SEED)
    return torch.randint(3, rows, (1, length), generator=generator)


def count_parameters(model: Any) -> int:
    """Return the number of weights."""
    return sum(parameter.numel() for parameter in model.parameters())


def measure_conversion(context: Context, measured: dict[str, Any]) -> None:
    """Convert the model in place and move it to the device; in low bit keep one with the rounded weights."""
    request, device = context.request, context.device
    if request["precision"] in low_bit.PRECISIONS:
        context.model, rounded = convert_low_bit(context.model, request, device, measured)
        cpu = Device("cpu")
        if "reference" in request["stages"]:  # else only the device's own numbers are wanted
            context.expected = [comparison.last_logits(rounded, prompt, cpu) for prompt in context.prompts]
    else:
        context.model = convert(context.model, request, device, measured)
    context.is_converted = True


def convert_low_bit(
    model: Any, request: dict[str, Any], device: Device, measured: dict[str, Any]
) -> tuple[Any, Any]:
    """Return the model in low bit on the device, and one in fp32 on the CPU with the same weights."""
    measured["backend"], measured["precision"] = request["backend"], request["precision"]
    converted, rounded = low_bit.convert(model, request["precision"], device.torch, measured)
    device.synchronize()
    return converted, rounded


def convert(model: Any, request: dict[str, Any], device: Device, measured: dict[str, Any]) -> Any:
    """Return the model in the profile's precision on the device, with what was replaced in ``measured``."""
    import torch

    precision = request["precision"]
    plain = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    measured["backend"] = request["backend"]
    measured["precision"] = precision
    if request["backend"] == "ipex-llm":
        from ipex_llm import optimize_model

        model = optimize_model(model, low_bit=precision)
        if device.kind != "cpu":
            model = model.to(plain.get(precision, torch.float16))
    else:
        model = model.to(plain[precision])
    model = model.to(device.torch).eval()
    device.synchronize()
    measured["linear_classes"] = _count(
        type(module).__name__ for module in model.modules() if _is_linear(module)
    )
    measured["replaced"] = dict(sorted(_replaced_forwards(model).items()))
    return model


def _is_linear(module: Any) -> bool:
    return type(module).__name__.endswith("Linear")


def _count(names: Any) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _replaced_forwards(model: Any) -> dict[str, str]:
    """Return class name to the function of ipex-llm that runs in place of its own ``forward``."""
    replaced = {}
    for module in model.modules():
        function = getattr(module.__dict__.get("forward"), "__func__", None)
        if function is not None and function.__module__.startswith("ipex_llm"):
            replaced[type(module).__name__] = f"{function.__module__}.{function.__qualname__}"
    return replaced
