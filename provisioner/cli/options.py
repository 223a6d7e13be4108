"""Flags that several verbs share. Every flag has a PROVISION_ variable, but for what destroys."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from typing import Any, ClassVar, TypeVar

import click
from click.shell_completion import CompletionItem

from provisioner.cli.settings import read_settings
from provisioner.errors import ProvisionError
from provisioner.ground.refusals import refused_error
from provisioner.ground.text import shown
from provisioner.install.generations import EnvironmentHome, list_environments
from provisioner.profile.load import list_profiles

Verb = TypeVar("Verb", bound=Callable[..., Any])

_SETTINGS = ("envs", "lockfiles", "data_dir", "config", "mirrors", "find_links", "offline")


class _CommaSeparated(click.ParamType[str]):
    """A text; its variable holds several with commas between, since a path may hold a space."""

    name = "text"
    envvar_list_splitter = ","

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the parts of a variable's value, without the spaces around them."""
        return [part.strip() for part in super().split_envvar_value(rv) if part.strip()]


class Age(click.ParamType[float]):
    """A time that has passed, in seconds: `12h`, `30d`, `8w`."""

    name = "age"
    _SECONDS: ClassVar = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number and its unit."""
        found = re.fullmatch(r"(\d{1,6})([mhdw])", str(value).strip())
        if found is None:
            self.fail(f"`{value}` is no age: a number and `m`, `h`, `d` or `w`, as `30d`", param, ctx)
        return int(found[1]) * self._SECONDS[found[2]]


class DeviceName(click.ParamType[str]):
    """A device to validate on, by the name that torch gives it."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse another name before anything is built for it."""
        if re.fullmatch(r"(cpu|xpu|cuda)(:[0-9]+)?", str(value)) is None:
            names = "`cpu`, `xpu` (an Intel GPU), `xpu:1` (the second one), `cuda`"
            self.fail(f"{shown(str(value))} is no device name; there are {names}", param, ctx)
        return str(value)


class _CommonOption(click.Option):
    """One that every verb has."""


class VerbCommand(click.Command):
    """A verb whose help tells its own options first, and then those that every verb has."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in two sections."""
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and record[1]:  # an argument stands in the usage line
                (common if isinstance(param, _CommonOption) else own).append(record)
        for title, records in (("Options", own), ("Options of every verb", common)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def verb(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a verb."""
    return click.command(name, **{"cls": VerbCommand, **attributes})


def flag(*names: str, **attributes: Any) -> Callable[[Verb], Verb]:
    """Declare an option with its ``PROVISION_…`` variable; one that may come again takes them with commas."""
    if attributes.get("multiple") and "type" not in attributes:
        attributes["type"] = _CommaSeparated()
    long = next(name for name in names if name.startswith("--")).partition("/")[0]
    variable = "PROVISION_" + long.removeprefix("--").replace("-", "_").upper()
    complete = _complete_as(attributes.get("metavar") or "")
    return click.option(*names, envvar=variable, shell_complete=complete, **attributes)


def argument(name: str, *, metavar: str, **attributes: Any) -> Callable[[Verb], Verb]:
    """Declare an argument; a shell completes what its metavar names: profiles, environments, files."""
    return click.argument(name, metavar=metavar, shell_complete=_complete_as(metavar), **attributes)


def _complete_as(metavar: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    words = set(re.findall(r"[A-Z]+", metavar))

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del param
        found = _find_names(ctx.params, words)
        items = [
            CompletionItem(name, help=told) for name, told in found.items() if name.startswith(incomplete)
        ]
        path = next((kind for kind in ("FILE", "DIR") if kind in words), None)
        return items or ([CompletionItem(incomplete, type=path.lower())] if path else [])

    return complete


def _find_names(values: Mapping[str, Any], words: Collection[str]) -> dict[str, str | None]:
    """Return the names that a shell may complete, with a line of help; none where settings are broken."""
    try:
        settings = read_settings(**{name: values[name] for name in _SETTINGS if values.get(name)})
        found: dict[str, str | None] = {}
        if "ENVIRONMENT" in words:
            found |= {name: None for name, _ in list_environments(EnvironmentHome(data=settings.data))}
        if "PROFILE" in words:
            found |= {entry.name: entry.description for entry in list_profiles(settings.profile_folders)}
    except (ProvisionError, OSError):  # nobody reads what is said while a shell completes
        return {}
    return found


def _all(*names: str, **attributes: Any) -> Callable[[Verb], Verb]:
    return flag(*names, cls=_CommonOption, **attributes)


def settings_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared flags and hand their values to the verb as one ``settings``."""

    @_all("--envs", metavar="DIR", help="Look for profiles here first.")
    @_all("--lockfiles", metavar="DIR", help="Folder of the lockfiles.")
    @_all("--data-dir", metavar="DIR", help="Folder of environments, downloads and caches.")
    @_all("--config", metavar="FILE", help="Read this configuration file.")
    @_all("--mirrors", metavar="FILE|NAME", help="Map of canonical prefixes to mirrors, as a file or `cn`.")
    @_all("--find-links", metavar="DIR|URL", multiple=True, help="A wheelhouse; files are matched by sha256.")
    @_all("--offline", is_flag=True, help="Use no network.")
    @_all("--json", "as_json", is_flag=True, help="Print exactly one JSON document.")
    @wraps(function)
    def wrapped(**values: Any) -> Any:
        del values["as_json"]  # `main` has seen it; no verb needs to know how its result is shown
        settings = read_settings(**{name: values.pop(name) for name in _SETTINGS})
        try:
            return function(settings=settings, **values)
        except OSError as error:
            if refused := refused_error(settings.data, error):
                raise refused from error
            raise

    return wrapped


def lock_timeout_flag(function: Verb) -> Verb:
    """Add how long to wait for another process that works on the same environment."""
    return flag(
        "--lock-timeout",
        type=click.FloatRange(min=0),
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for another process that works on the environment.",
    )(function)


def format_flag(function: Verb) -> Verb:
    """Add the form of findings: words for people, or a SARIF log; `--json` goes before both."""
    return flag(
        "--format",
        "form",
        type=click.Choice(("text", "sarif")),
        default="text",
        show_default=True,
        help="Print words, or a SARIF 2.1.0 log for editors and code hosts.",
    )(function)


def target_flags(function: Verb) -> Verb:
    """Add the device to validate on, and leave to build for a GPU that is not here."""
    device = flag(
        "--device",
        type=DeviceName(),
        metavar="DEVICE",
        help="Validate on this device: cpu, xpu, xpu:1. For cpu no GPU has to be here.",
    )
    return device(no_gate_flag(function))


def no_gate_flag(function: Verb) -> Verb:
    """Add leave to build for a GPU that is not here."""
    return flag(
        "--no-gate",
        is_flag=True,
        help="Build for a GPU that is not here or is known to fail; --device cpu does not need it.",
    )(function)
