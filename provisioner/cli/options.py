"""Flags that several verbs share. Every flag has a PROVISION_ variable of its name."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from provisioner.cli.result import Result
from provisioner.cli.settings import Settings, read_settings

Verb = TypeVar("Verb", bound=Callable[..., Any])

_SETTINGS = ("envs", "lockfiles", "data_dir", "config", "mirrors", "find_links", "offline")


def flag(*names: str, **attributes: Any) -> Callable[[Verb], Verb]:
    """Declare an option with its ``PROVISION_…`` variable."""
    long = next(name for name in names if name.startswith("--"))
    variable = "PROVISION_" + long.removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, **attributes)


def settings_flags(function: Callable[..., Result]) -> Callable[..., Result]:
    """Add the shared flags and hand their values to the verb as one ``settings``."""

    @flag("--envs", metavar="DIR", help="Look for profiles here first.")
    @flag("--lockfiles", metavar="DIR", help="Folder of the lockfiles.")
    @flag("--data-dir", metavar="DIR", help="Folder of environments, downloads and caches.")
    @flag("--config", metavar="FILE", help="Read this configuration file.")
    @flag("--mirrors", metavar="FILE", help="Mapping of canonical prefixes to mirrors (YAML or JSON).")
    @flag("--find-links", metavar="DIR|URL", multiple=True, help="A wheelhouse; files are matched by sha256.")
    @flag("--offline", is_flag=True, help="Use no network.")
    @_json_flag
    @wraps(function)
    def wrapped(**values: Any) -> Result:
        chosen = {name: values.pop(name) for name in _SETTINGS}
        settings: Settings = read_settings(**chosen)
        return function(settings=settings, **values)

    return wrapped


def _json_flag(function: Callable[..., Result]) -> Callable[..., Result]:
    """Declare ``--json``; `main` has seen it already, the verb only learns that it was there."""
    return click.option(
        "--json", "as_json", is_flag=True, envvar="PROVISION_JSON", help="Print exactly one JSON document."
    )(function)
