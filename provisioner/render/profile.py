"""A merged profile for people and scripts: every value with the place where it was written."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioner.ground.yaml_tree import Origin
from provisioner.profile.model import Decision, Platform, Profile


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One value; ``origin`` is None for a default. Keys of lists stand once per item.

    A key begins with the platform (``win-64.env.X``) where the value is not the same on all of them.
    """

    key: str
    value: str
    origin: Origin | None


def show_rows(profile: Profile) -> tuple[Row, ...]:
    """Return the rows of ``provision show``: scalars, indexes, sections, validation."""
    return (*_head(profile), *_sections(profile), *_validation(profile))


def as_dict(profile: Profile) -> dict[str, Any]:
    """Return the profile as plain values for ``--json``, with ``origins`` as ``file:line:column``."""
    status, validation = profile.status, profile.validation
    return {
        "name": profile.name,
        "file": profile.file,
        "description": profile.description,
        "stacks": list(profile.stacks),
        "family": profile.family.value,
        "device": profile.device.value,
        "torch": profile.torch.value,
        "python": profile.python,
        "as_of": profile.as_of,
        "transformers": profile.transformers,
        "status": {
            "state": status.state.value,
            "since": status.since,
            "replaced_by": status.replaced_by,
            "note": status.note,
        },
        "indexes": {index.name: index.url for index in profile.indexes},
        "platforms": {platform.name: _platform(platform) for platform in profile.platforms},
        "validation": {
            "backend": validation.backend,
            "precision": validation.precision,
            "tolerance": validation.tolerance,
            "weights": validation.weights,
            "asset": validation.asset,
            "prompt": validation.prompt,
            "expect": validation.expect,
            "imports": list(validation.imports),
            "commands": [list(command) for command in validation.commands],
        },
        "origins": {key: str(origin) for key, origin in profile.origins.items()},
    }


def _platform(platform: Platform) -> dict[str, Any]:
    return {
        "conda": {"channels": list(platform.channels), "packages": list(platform.conda)},
        "pip": {
            "packages": list(platform.pip),
            "routes": dict(platform.routes),
            "prereleases": list(platform.prereleases),
            "overrides": _reasons(platform.overrides),
            "yanked": _reasons(platform.yanked),
            "sdists": _reasons(platform.sdists),
        },
        "env": dict(platform.env),
        "gpus": {gpu: {"env": dict(env)} for gpu, env in platform.env_by_gpu.items()},
    }


def _reasons(decisions: tuple[Decision, ...]) -> dict[str, str]:
    return {decision.requirement: decision.reason for decision in decisions}


def _head(profile: Profile) -> Iterator[Row]:
    status = profile.status
    scalars = {
        "description": profile.description,
        "family": profile.family.value,
        "device": profile.device.value,
        "torch": profile.torch.value,
        "platforms": ", ".join(platform.name for platform in profile.platforms),
        "python": profile.python,
        "as_of": profile.as_of,
        "transformers": profile.transformers,
        "status.state": status.state.value,
        "status.since": status.since,
        "status.replaced_by": status.replaced_by,
        "status.note": status.note,
        **{f"indexes.{index.name}": index.url for index in profile.indexes},
    }
    origins = {**profile.origins, "platforms": profile.origins.get("platforms[0]")}
    yield from (Row(key=k, value=v, origin=origins.get(k)) for k, v in scalars.items() if v is not None)


def _sections(profile: Profile) -> Iterator[Row]:
    """Yield the platforms' rows section by section; what all platforms share is told once."""
    found: dict[tuple[str, str, Origin | None], list[str]] = {}
    for platform in profile.platforms:
        for key, place, value in _values(platform):
            origin = profile.origins.get(f"{platform.name}.{place}")
            found.setdefault((key, value, origin), []).append(platform.name)
    sections = list(dict.fromkeys(key.split(".")[0] for key, _, _ in found))
    for section in sections:
        for (key, value, origin), names in found.items():
            if key.split(".")[0] != section:
                continue
            if len(names) == len(profile.platforms):
                yield Row(key=key, value=value, origin=origin)
            else:
                yield from (Row(key=f"{name}.{key}", value=value, origin=origin) for name in names)


def _values(platform: Platform) -> Iterator[tuple[str, str, str]]:
    """Yield key, dotted place in ``Profile.origins`` and value of everything in a section."""
    lists = {"conda.channels": platform.channels, "conda.packages": platform.conda}
    lists |= {"pip.packages": platform.pip, "pip.prereleases": platform.prereleases}
    for key, values in lists.items():
        yield from ((key, f"{key}[{i}]", value) for i, value in enumerate(values))
    yield from (
        (f"pip.routes.{name}", f"pip.routes.{name}", index) for name, index in platform.routes.items()
    )
    decisions = {"pip.overrides": platform.overrides, "pip.yanked": platform.yanked}
    decisions |= {"pip.sdists": platform.sdists}
    for key, made in decisions.items():
        for i, decision in enumerate(made):
            yield key, f"{key}[{i}]", f"{decision.requirement} ({decision.reason})"
    yield from ((f"env.{name}", f"env.{name}", value) for name, value in platform.env.items())
    for gpu, env in platform.env_by_gpu.items():
        yield from ((key := f"gpus.{gpu}.env.{name}", key, value) for name, value in env.items())


def _validation(profile: Profile) -> Iterator[Row]:
    validation = profile.validation
    scalars = {
        "backend": validation.backend,
        "precision": validation.precision,
        "tolerance": "by precision" if validation.tolerance is None else f"{validation.tolerance:g}",
        "weights": validation.weights,
        "asset": validation.asset,
        "prompt": validation.prompt,
        "expect": validation.expect,
    }
    for name, value in scalars.items():
        if value is not None:
            yield Row(key=f"validation.{name}", value=value, origin=profile.origins.get(f"validation.{name}"))
    lists = {"imports": validation.imports, "commands": tuple(" ".join(c) for c in validation.commands)}
    for name, values in lists.items():
        for i, value in enumerate(values):
            origin = profile.origins.get(f"validation.{name}[{i}]")
            yield Row(key=f"validation.{name}", value=value, origin=origin)
