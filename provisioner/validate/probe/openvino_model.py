"""Load a model with openvino_genai, and see on which device it runs it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .context import Context
from .gguf_header import read_header
from .openvino_device import name_places

MODEL_FILE = "openvino_model.xml"
GGUF_FILE = "model.gguf"

_READABLE = ("llama", "qwen2", "qwen3")
_PARTS = ("openvino_model", "openvino_tokenizer", "openvino_detokenizer")


class ModelFileError(Exception):
    """A user's model is not one that openvino_genai reads."""


def measure_weights(context: Context, measured: dict[str, Any]) -> None:
    """Look at the file or folder, then let openvino_genai load it; a GGUF file is converted on the way."""
    request = context.request
    path = Path(request["model_dir"] or Path(request["weights_dir"], GGUF_FILE))
    options: dict[str, Any] = {}
    if path.is_dir():
        check_folder(path)
        context.folder = path
        measured["source"] = "OpenVINO folder"
        measured["bytes"] = (path / "openvino_model.bin").stat().st_size
    else:
        # openvino_genai ends with SIGSEGV on a file that breaks off.
        header = read_header(path)
        measured["source"], measured["types"] = "GGUF file", header.types
        measured["architecture"], measured["parameters"] = header.architecture, header.parameters
        if header.architecture not in _READABLE:
            named = ", ".join(f"`{name}`" for name in _READABLE)
            raise ModelFileError(
                f"openvino_genai reads GGUF files of {named}, not of `{header.architecture}`"
            )
        if not request["model_dir"]:  # a user's model may have many gigabytes
            # It saves the converted model beside the file that it is given, a link in this case.
            context.folder = Path(tempfile.mkdtemp(prefix="openvino-"))
            path, options = _link(path, context.folder), {"enable_save_ov_model": True}
    started = time.perf_counter()
    context.pipeline, printed = _load(path, context.openvino_name, options)
    measured["load_seconds"] = round(time.perf_counter() - started, 3)
    measured["execution_devices"] = read_execution_devices(printed)
    prompt = list(request["prompt_ids"] or [])
    encoded = context.pipeline.get_tokenizer().encode(request["prompt"], add_special_tokens=False)
    own = [int(number) for number in encoded.input_ids.data[0]]
    measured["tokenizer_agrees"] = own == prompt if prompt else None
    context.prompt = measured["prompt_ids"] = prompt or own


def _link(path: Path, folder: Path) -> Path:
    """Return a link to a file in a folder, or a copy where links are not allowed, as on Windows."""
    place = folder / path.name
    try:
        place.symlink_to(path)
    except OSError:
        shutil.copyfile(path, place)
    return place


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds no language model of OpenVINO's.

    Raises:
        ModelFileError: A file is missing, or it is a model of another kind.
    """
    if (folder / "openvino_language_model.xml").is_file():
        raise ModelFileError("it is a model of pictures and text, which `LLMPipeline` does not load")
    names = [f"{part}.{suffix}" for part in _PARTS for suffix in ("xml", "bin")]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelFileError(
            f"`{missing[0]}` is missing: export the model with `optimum-cli export openvino`"
        )


def read_execution_devices(text: str) -> dict[str, list[str]]:
    """Return, of what openvino_genai prints with OPENVINO_LOG_LEVEL=2, each model's execution devices."""
    found: dict[str, list[str]] = {}
    for block in text.split("Model: ")[1:]:
        match = re.search(r"^ +EXECUTION_DEVICES: (.*)$", block, re.MULTILINE)
        if match is not None:
            found[block.splitlines()[0].strip()] = name_places(match[1].split())
    return found


def _load(path: Path, device: str, options: dict[str, Any]) -> tuple[Any, str]:
    """Return the pipeline and what C++ code printed while it was made.

    It has no call that returns its compiled model; with this level openvino_genai prints the properties of
    what it compiles (`print_compiled_model_properties` in its `src/cpp/src/utils.cpp`).
    """
    import openvino_genai

    os.environ["OPENVINO_LOG_LEVEL"] = "2"  # noqa: TID251 - read by openvino_genai in this process
    sys.stdout.flush()
    saved = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            pipeline = openvino_genai.LLMPipeline(path, device, **options)
        finally:
            os.dup2(saved, 1)
            os.close(saved)
            del os.environ["OPENVINO_LOG_LEVEL"]  # noqa: TID251 - set above
        file.seek(0)
        return pipeline, file.read().decode("utf-8", "replace")
