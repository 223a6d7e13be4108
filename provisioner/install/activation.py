"""Turn an environment into variables. `provisioner.install.shells` turns them into a shell's text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from provisioner.errors import UsageError
from provisioner.ground.text import shown
from provisioner.install.generations import Generation
from provisioner.install.plan import CONDA
from provisioner.install.prefix_layout import WINDOWS, find_path_entries
from provisioner.install.receipt import Receipt
from provisioner.install.stable_path import find_stable
from provisioner.profile.rules import VARIABLE_NAME, check_variable


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """What an active environment changes.

    Attributes:
        name: The environment's name.
        path: Folders that go before ``PATH``.
        variables: Set while it is active.
        unset: Removed while it is active.
    """

    name: str
    path: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ("PYTHONHOME",)


def plan_activation(receipt: Receipt, *, path: Sequence[PurePath], prefix: str | None = None) -> Activation:
    """Return what activating an environment changes.

    Args:
        receipt: The environment's.
        path: Its folders of programs.
        prefix: What its folder is called, where that is not the folder it was built in.

    Raises:
        UsageError: ``usage.variable``: a name or value that no environment can hold.
    """
    prefix = prefix or receipt.prefix
    name = receipt.environment
    own = (
        {"CONDA_PREFIX": prefix, "CONDA_DEFAULT_ENV": name, "PYTHONNOUSERSITE": "1"}
        if receipt.base == CONDA
        else {"VIRTUAL_ENV": prefix, "VIRTUAL_ENV_PROMPT": name}  # the folder's name is the same for all
    )
    variables = {name: value.replace("{prefix}", prefix) for name, value in receipt.env.items()}
    for variable, value in variables.items():
        # names go into scripts as they are, and a receipt may be older than today's rules
        if re.fullmatch(VARIABLE_NAME, variable) is None:
            raise refuse_variable(variable, "is not capitals, digits and underscores")
        if reason := check_variable(variable):
            raise refuse_variable(variable, f"cannot be set: {reason}")
        if "\0" in value:
            raise refuse_variable(variable, "has a value with a null character")
    return Activation(
        name=receipt.environment,
        path=tuple(str(folder) for folder in path),
        variables=variables | own | {"PROVISION_ENVIRONMENT": receipt.environment},
    )


def find_activation(generation: Generation, *, following: bool = False) -> Activation:
    """Return what activating a built environment changes.

    Args:
        generation: What is activated.
        following: Whether what is started later is of the generation that is current then: for a shell that
            lives long. Windows has no program for that, so there it is always this generation.
    """
    receipt = generation.receipt
    stable = find_stable(generation)
    follows = following and receipt.platform != WINDOWS
    prefix = stable.link if follows else generation.prefix
    path = find_path_entries(prefix, base=receipt.base, platform=receipt.platform)
    first = (stable.launchers, *path) if follows else (*path, stable.launchers)
    return plan_activation(receipt, path=first, prefix=str(prefix))


def apply_activation(activation: Activation, environ: Mapping[str, str], *, windows: bool) -> dict[str, str]:
    """Return the environment of a program that runs inside."""
    separator = ";" if windows else ":"
    # names keep their case on Windows and are looked up without it
    path_name = next((name for name in environ if windows and name.upper() == "PATH"), "PATH")
    inherited = [environ[path_name]] if environ.get(path_name) else []
    kept = {name: value for name, value in environ.items() if name not in activation.unset}
    return kept | dict(activation.variables) | {path_name: separator.join([*activation.path, *inherited])}


def choose_devices(text: str) -> dict[str, str]:
    """Return the variables that let a program see some devices only; it counts them from 0 again.

    The selector is SYCL's (oneAPI DPC++, "ONEAPI_DEVICE_SELECTOR"): torch's XPU device and ipex-llm obey it,
    OpenVINO chooses by name in the program.

    Raises:
        UsageError: ``usage.device``.
    """
    names = [name.strip() for name in text.split(",")]
    found = [re.fullmatch(r"xpu(?::([0-9]{1,2}))?", name) for name in names]
    if names == ["cpu"]:
        return {"ONEAPI_DEVICE_SELECTOR": "*:cpu"}
    if names == ["xpu"]:
        return {"ONEAPI_DEVICE_SELECTOR": "level_zero:gpu"}
    if all(each is not None and each[1] is not None for each in found):
        numbers = ",".join(dict.fromkeys(each[1] for each in found if each is not None))
        return {"ONEAPI_DEVICE_SELECTOR": f"level_zero:{numbers}"}
    raise UsageError(
        "usage.device",
        f"{shown(text)} names no devices",
        hints=["name `cpu`, `xpu`, or GPUs by number: `xpu:0,xpu:1`"],
    )


def refuse_variable(name: str, why: str) -> UsageError:
    """Return the error for a variable that no environment or shell can hold."""
    return UsageError(
        "usage.variable",
        f"the variable `{name}` {why}",
        hints=["correct `env` in the profile, and create the environment again"],
        context={"variable": name},
    )
