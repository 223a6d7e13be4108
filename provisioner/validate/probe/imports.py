"""Import the packages of the stack, in the one order that works, and see where it comes from."""

from __future__ import annotations

import importlib
import sys
import time
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from .context import Context
from .real_path import is_below, resolve

_NATIVE_DISTRIBUTIONS = ("bigdl-core-xe", "bigdl_core_xe")
_NATIVE_MODULES = ("xe_linear", "xe_addons")
_LOW_BIT_MODULES = {"nf4": ("bitsandbytes",), "int8": ("torchao",), "int4": ("torchao",)}
_OPENVINO_MODULES = ("numpy", "openvino", "openvino_tokenizers", "openvino_genai")


def measure_imports(context: Context, measured: dict[str, Any]) -> None:
    """Import torch, then ipex_llm, which imports IPEX itself on the stacks that need it, then the rest.

    Without torch: OpenVINO and its parts.

    Importing IPEX a second time is an error of ipex-llm's, so it is never imported here by name.
    """
    modules = measured["modules"] = {}
    for name in _wanted(context.request):
        measured["importing"] = name
        started = time.perf_counter()
        module = importlib.import_module(name)
        modules[name] = {
            "file": getattr(module, "__file__", None),
            "inside": _is_inside(module, context.request["prefix"]),
            "version": str(getattr(module, "__version__", "") or ""),
            "seconds": round(time.perf_counter() - started, 3),
        }
    del measured["importing"]
    torch = sys.modules.get("torch")
    if torch is not None:
        measured["torch"] = {
            "version": torch.__version__,
            "cuda": torch.version.cuda,
            "xpu": getattr(torch.version, "xpu", None),
            "threads": torch.get_num_threads(),
        }
    ipex = sys.modules.get("intel_extension_for_pytorch")
    measured["ipex"] = None if ipex is None else str(ipex.__version__)
    measured["foreign_modules"] = _foreign_modules(context.request["prefix"])
    measured["foreign_libraries"] = _foreign_libraries(context.request["prefix"])


def _wanted(request: dict[str, Any]) -> list[str]:
    """Return the modules to import, in order."""
    if request["backend"] == "openvino":
        return list(dict.fromkeys((*_OPENVINO_MODULES, *request["imports"])))
    names = ["torch"]
    if request["backend"] == "ipex-llm":
        names.append("ipex_llm")
    if request["device"].startswith("xpu") and _has_native_modules():
        names += _NATIVE_MODULES
    names += ["transformers", *_LOW_BIT_MODULES.get(request["precision"], ()), *request["imports"]]
    return list(dict.fromkeys(names))


def _has_native_modules() -> bool:
    return any((item.metadata["Name"] or "").startswith(_NATIVE_DISTRIBUTIONS) for item in distributions())


def _foreign_modules(prefix: str) -> dict[str, str]:
    """Return the modules that are neither the environment's, nor its base interpreter's, nor ours."""
    known = [
        resolve(place) for place in (prefix, sys.base_prefix, sys.base_exec_prefix, Path(__file__).parent)
    ]
    foreign = {}
    for name, module in sorted(sys.modules.items()):
        place = getattr(module, "__file__", None)
        if not isinstance(place, str) or not Path(place).is_absolute():
            continue
        # The folder counts, not where a link in it leads: Debian's Python links its sitecustomize from /etc.
        if not is_below(resolve(Path(place).parent) / Path(place).name, known):
            foreign[name] = place
    return dict(list(foreign.items())[:10])


def _foreign_libraries(prefix: str) -> list[str]:
    """Return the mapped libraries that belong neither to the environment nor to the system (Linux)."""
    known = [
        resolve(place) for place in (prefix, sys.base_prefix, "/lib", "/lib64", "/usr/lib", "/usr/lib64")
    ]
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[5] for line in lines if line.count("/") and ".so" in line}
    return sorted(path for path in paths if path.startswith("/") and not is_below(resolve(path), known))[:20]


def _is_inside(module: object, prefix: str) -> bool:
    """Tell whether a module comes from the environment; one without a file is built in."""
    place = getattr(module, "__file__", None)
    return place is None or is_below(resolve(place), [resolve(prefix)])
