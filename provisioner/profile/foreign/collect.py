"""Collect what a profile can say of a foreign file, and the reason for every line that it cannot."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from provisioner.ground.names import PLATFORMS, check_profile_name
from provisioner.profile import rules

EVERYWHERE = ""
_PYTHON = re.compile(r"3\.(?:9|1[0-9])")
_NVIDIA = re.compile(
    r"nvidia-.*|cuda(?:-.*|toolkit)|cudnn.*|pytorch-cuda|cupy(?:-.*)?|flash-attn|xformers|apex|tensorrt(?:-.*)?"
    r"|nccl|cutensor|faiss-gpu.*|triton(?:-windows)?|vllm"
)
_TOOLS = {"pip", "setuptools-scm", "conda", "mamba", "conda-lock", "uv", "poetry"}
# Names under which conda brings what a stack brings as a wheel.
_CONDA_TWINS = {"pytorch": "torch", "pytorch-cpu": "torch", "pytorch-gpu": "torch", "pytorch-mutex": "torch"}
_MARKERS: Mapping[str, Mapping[str, str]] = {
    "linux-64": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "win-64": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}
_MACHINES = {"linux-64": "x86_64", "win-64": "AMD64"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignLine:
    """One thing that a foreign file asks for, and why a profile cannot say it; empty where it can."""

    line: int
    text: str
    reason: str = ""


@dataclass(kw_only=True, slots=True)
class Collection:
    """What was read so far.

    Attributes:
        python: The stack's version of Python, or what the file asks for in its place.
        brought: Packages that the stack brings, by normalised name, to who brings it.
        pip: Requirements by platform; `EVERYWHERE` for all.
        conda: The same for conda packages.
        lines: Everything that the file asks for, in its order.
        name: The profile's; None: nobody has chosen one, and the file's is taken where a profile may have it.
    """

    python: str
    name: str | None = None
    brought: Mapping[str, str] = field(default_factory=dict)
    pip: dict[str, list[str]] = field(default_factory=dict)
    conda: dict[str, list[str]] = field(default_factory=dict)
    channels: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    lines: list[ForeignLine] = field(default_factory=list)

    def take(self, line: int, text: str) -> None:
        """Note that a line is in the profile."""
        self.lines.append(ForeignLine(line=line, text=text))

    def leave(self, line: int, text: str, reason: str) -> None:
        """Note why a line is not in the profile."""
        self.lines.append(ForeignLine(line=line, text=text, reason=reason))

    def add_name(self, line: int, text: str) -> None:
        """Take the file's name where none was chosen, or note why not."""
        self.suggest_name(text)
        if text == self.name:
            self.take(line, f"name: {text}")
        else:
            self.leave(line, "name", "a profile has its file's name: `provision init NAME` chooses it")

    def suggest_name(self, text: str) -> None:
        """Take the name of what a file is about where none was chosen; that it is named asks for nothing."""
        if self.name is None and check_profile_name(text) is None:
            self.name = text

    def add_requirement(self, line: int, text: str, *, platforms: Sequence[str] = (EVERYWHERE,)) -> None:
        """Take a PEP 508 requirement, or note why not; a marker chooses platforms."""
        if habit := rules.find_habit(text):
            self.leave(line, text, f"it {habit}")
            return
        try:
            wanted = Requirement(text)
        except InvalidRequirement as error:
            self.leave(line, text, f"it is no requirement (PEP 508): {str(error).splitlines()[0].lower()}")
            return
        name = canonicalize_name(wanted.name)
        if reason := self._find_objection(name):
            self.leave(line, text, reason)
            return
        if wanted.marker is not None:
            true_on = [each for each in PLATFORMS if wanted.marker.evaluate(self._marker_environment(each))]
            if not true_on:
                self.leave(
                    line, text, f"its marker is false on {' and '.join(PLATFORMS)} with Python {self.python}"
                )
                return
            everywhere = len(true_on) == len(PLATFORMS)
            platforms = (
                platforms if everywhere else [each for each in true_on if platforms[0] in (EVERYWHERE, each)]
            )
            wanted.marker = None
        self._put(str(wanted), ForeignLine(line=line, text=text), platforms, kind="pip")

    def add_conda(self, line: int, text: str, *, platforms: Sequence[str] = (EVERYWHERE,)) -> None:
        """Take a conda package (``name``, ``name=1.2``, ``name >=1``), or note why not."""
        spec = re.sub(r"\s+", " ", text.strip())
        if "::" in spec:
            self.leave(line, text, "it names its channel; a profile has channels in strict priority instead")
            return
        spec = re.sub(r"^([A-Za-z0-9._-]+)\s*=(?!=)\s*([^=\s]+)=\S+$", r"\1=\2", spec)  # without its build
        name = re.split(r"[\s=<>!~\[]", spec, maxsplit=1)[0].lower()
        if name == "python":
            self._set_python(line, text, spec)
            return
        if reason := self._find_objection(_CONDA_TWINS.get(name, canonicalize_name(name))):
            self.leave(line, text, reason)
            return
        refused = rules.check_conda_spec(spec)
        if refused is not None:
            self.leave(line, text, refused)
            return
        self._put(spec, ForeignLine(line=line, text=text), platforms, kind="conda")

    def add_channel(self, line: int, text: str) -> None:
        """Take a channel, or note why not."""
        if text == "nodefaults":
            self.leave(line, text, "a profile never has conda's default channels")
        elif text in {"defaults", "pytorch", "nvidia", "anaconda"}:
            self.leave(line, text, "its packages do not fit the stack's torch; `conda-forge` has the rest")
        elif reason := rules.check_channel(text):
            self.leave(line, text, reason)
        else:
            if text not in self.channels:
                self.channels.append(text)
            self.take(line, text)

    def add_variable(self, line: int, name: str, value: str) -> None:
        """Take an environment variable, or note why not."""
        text = f"{name}: {value}"
        if not re.fullmatch(rules.VARIABLE_NAME, name):
            self.leave(line, text, "a variable's name is capitals, digits and underscores")
        elif reason := rules.check_variable(name) or rules.check_variable_value(value):
            self.leave(line, text, reason)
        else:
            self.env[name] = value
            self.take(line, text)

    def add_python(self, line: int, text: str, specifiers: str) -> None:
        """Judge a range of Python versions (``requires-python``): the stack's version is in it, or not."""
        try:
            fits = SpecifierSet(specifiers).contains(f"{self.python}.99")
        except InvalidSpecifier:
            self.leave(line, text, "it is no range of versions (PEP 440)")
            return
        if fits:
            self.take(line, text)
        else:
            self.leave(
                line, text, f"the stack is proven with Python {self.python}; write `python:` for another"
            )

    def _set_python(self, line: int, text: str, spec: str) -> None:
        found = _PYTHON.search(spec)
        exact = found is not None and re.fullmatch(r"python\s*(?:==?)?\s*[0-9.]+(?:\.\*)?", spec)
        if found is not None and exact:
            self.python = found[0]
            self.take(line, text)
        elif spec == "python":
            self.take(line, text)
        else:
            self.leave(line, text, f"a profile names one version of Python; the stack's is {self.python}")

    def _find_objection(self, name: str) -> str:
        """Return why a package is not taken whatever its version; empty where nothing speaks against it."""
        if name in self.brought:
            return f"`{self.brought[name]}` brings it, in the version that its validation proves"
        if name in {"torch", "torchvision", "torchaudio", "intel-extension-for-pytorch", "ipex-llm"}:
            return "the build of torch and its kin is the stack's to say: choose one with `--extends`"
        if _NVIDIA.fullmatch(name):
            return "it needs an NVIDIA GPU"
        if name in _TOOLS:
            return "environments hold no package managers; `provision add` changes them"
        return ""

    def _marker_environment(self, platform: str) -> dict[str, str]:
        return {
            **_MARKERS[platform],
            "platform_machine": _MACHINES[platform],
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "extra": "",
        }

    def _put(self, wanted: str, place: ForeignLine, platforms: Sequence[str], *, kind: str) -> None:
        """Put a package into a part unless the part has it already."""
        part, name_of = (
            (self.conda, rules.conda_name) if kind == "conda" else (self.pip, rules.requirement_name)
        )
        known = [each for key in (EVERYWHERE, *platforms) for each in part.get(key, ())]
        other = next((each for each in known if name_of(each) == name_of(wanted)), None)
        if other is not None and other != wanted:
            reason = f"the file asks for `{other}`, too; a profile names a package once"
            self.leave(place.line, place.text, reason)
            return
        for platform in platforms if other is None else ():
            part.setdefault(platform, []).append(wanted)
        self.lines.append(place)
