"""A merged profile for people and scripts: every value with the place where it was written."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provisioner.ground.yaml_tree import Origin
from provisioner.profile.model import Decision, Platform, Profile
from provisioner.render.columns import hang

_SCALARS = ("description", "family", "device", "torch", "python", "as_of", "transformers")
_WIDEST_VALUE = 48
_BUILTIN = "…/envs/"
_WITH_REASONS = {"pip.overrides", "pip.yanked", "pip.sdists", "startup"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One value; ``origin`` is None for a default. A list has a row for each item.

    A key begins with the platform (``win-64.env.X``) where the value is not the same on all of them.
    """

    key: str
    value: str
    origin: Origin | None


def show_rows(profile: Profile) -> tuple[Row, ...]:
    """Return the rows of ``provision show``: scalars, indexes, sections, validation."""
    return (*_head(profile), *_sections(profile), *_validation(profile))


def describe_rows(rows: Sequence[Row], builtin: Path) -> Iterator[str]:
    """Yield the rows in columns; ``…/envs`` in a place stands for the folder of what came with provision."""
    key_width = max(len(row.key) for row in rows)
    value_width = min(max(len(row.value) for row in rows), _WIDEST_VALUE)
    for row in rows:
        place = str(row.origin or "default").replace(f"{builtin}{os.sep}", _BUILTIN)
        yield hang(f"{row.key:<{key_width}}  ", f"{row.value:<{value_width}}  {place}")
    if any(row.origin and Path(row.origin.file).parent == builtin for row in rows):
        yield f"{_BUILTIN} is {builtin}"


def as_dict(profile: Profile) -> dict[str, Any]:
    """Return the profile as plain values for ``--json``, with ``origins`` as ``file:line:column``."""
    return {
        **{key: getattr(profile, key) for key in ("name", "file", "description", "stacks")},
        **{key: getattr(profile, key) for key in _SCALARS[1:]},
        "status": asdict(profile.status),
        "indexes": {index.name: index.url for index in profile.indexes},
        "platforms": {platform.name: _nest(platform) for platform in profile.platforms},
        "validation": asdict(profile.validation),
        "origins": {key: str(origin) for key, origin in profile.origins.items()},
    }


def _nest(platform: Platform) -> dict[str, Any]:
    """Return a platform's values by their keys, nested as in a profile."""
    nested: dict[str, Any] = {"conda": {}, "pip": {}, "env": {}, "gpus": {gpu: {} for gpu in platform.gpus}}
    for key, values in platform.by_key().items():
        *path, last = key.split(".")
        table = nested
        for name in path:
            table = table.setdefault(name, {})
        reasons = {each.requirement: each.reason for each in values if isinstance(each, Decision)}
        table[last] = reasons if key in _WITH_REASONS else values
    return nested


def _head(profile: Profile) -> Iterator[Row]:
    scalars = {key: getattr(profile, key) for key in _SCALARS[:4]}
    scalars["platforms"] = ", ".join(platform.name for platform in profile.platforms)
    scalars |= {key: getattr(profile, key) for key in _SCALARS[4:]}
    scalars |= {f"status.{key}": value for key, value in asdict(profile.status).items()}
    scalars |= {f"indexes.{index.name}": index.url for index in profile.indexes}
    origins = {**profile.origins, "platforms": profile.origins.get("platforms[0]")}
    yield from (Row(key=k, value=v, origin=origins.get(k)) for k, v in scalars.items() if v is not None)


def _sections(profile: Profile) -> Iterator[Row]:
    """Yield the platforms' rows section by section; what all platforms share has one row."""
    found: dict[tuple[str, str, Origin | None], list[str]] = {}
    for platform in profile.platforms:
        for key, place, value in _find_values(platform):
            origin = profile.origins.get(f"{platform.name}.{place}")
            found.setdefault((key, value, origin), []).append(platform.name)
    for section in dict.fromkeys(key.split(".")[0] for key, _, _ in found):
        for (key, value, origin), names in found.items():
            if key.split(".")[0] != section:
                continue
            if len(names) == len(profile.platforms):
                yield Row(key=key, value=value, origin=origin)
            else:
                yield from (Row(key=f"{name}.{key}", value=value, origin=origin) for name in names)


def _find_values(platform: Platform) -> Iterator[tuple[str, str, str]]:
    """Yield key, dotted place in ``Profile.origins`` and value of everything in a section."""
    for key, values in (*platform.by_key().items(), ("gpus", platform.gpus)):
        if isinstance(values, Mapping):
            yield from ((f"{key}.{name}", f"{key}.{name}", value) for name, value in values.items())
            continue
        for i, value in enumerate(values):
            text = f"{value.requirement} ({value.reason})" if isinstance(value, Decision) else value
            yield key, f"{key}[{i}]", text


def _validation(profile: Profile) -> Iterator[Row]:
    for name, value in asdict(profile.validation).items():
        key = f"validation.{name}"
        if isinstance(value, tuple):
            for i, item in enumerate(value):
                text = item if isinstance(item, str) else " ".join(item)
                yield Row(key=key, value=text, origin=profile.origins.get(f"{key}[{i}]"))
            continue
        text = "by precision" if name == "tolerance" and value is None else value
        if text is not None:
            shown = f"{text:g}" if isinstance(text, float) else text
            yield Row(key=key, value=shown, origin=profile.origins.get(key))
