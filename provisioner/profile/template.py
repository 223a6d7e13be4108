"""Write a first profile, with comments that say what else it may hold."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.ground.names import PLATFORMS
from provisioner.ground.yaml_writer import Value, write_yaml
from provisioner.profile.foreign.collect import EVERYWHERE


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstProfile:
    """What a new profile says.

    Attributes:
        reasons: Comment lines: why it builds on what it builds on.
        extends: The profile or stack that it builds on.
        python: Python's version where it is not the stack's.
        pip: Requirements by platform; ``""`` for all.
        conda: The same for conda packages.
        left: Comment lines: what an imported file asks for and a profile cannot say.
    """

    name: str
    description: str
    reasons: tuple[str, ...]
    extends: str
    python: str | None = None
    channels: tuple[str, ...] = ()
    pip: Mapping[str, Sequence[str]] = field(default_factory=dict)
    conda: Mapping[str, Sequence[str]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()


def format_profile(first: FirstProfile) -> str:
    """Return the profile's text."""
    head: dict[str, Value] = {"extends": first.extends}
    lines = [*_comment(first.reasons), *_describe(first.description), *write_yaml(head)]
    if first.python:
        lines.append(f'python: "{first.python}"')
    lines += [
        "",
        "# Lock for these only; for all where it is not said.",
        f"# platforms: [{', '.join(PLATFORMS)}]",
        "",
        f"# What your programs need besides; `provision add {first.name} PACKAGE` writes here, too.",
    ]
    lines += write_yaml({"pip": {"packages": list(first.pip.get(EVERYWHERE, ()))}})
    conda = first.conda.get(EVERYWHERE, ())
    if conda or first.channels or any(first.conda.values()):
        part: dict[str, Value] = {"channels": list(first.channels or ("conda-forge",))}
        lines += ["", *write_yaml({"conda": part | {"packages": list(conda)}})]
    else:
        lines += ["", "# conda:", "#   channels: [conda-forge]", "#   packages: []"]
    if first.env:
        lines += ["", *write_yaml({"env": dict(first.env)})]
    else:
        lines += [
            "",
            "# Variables of the environment; `{prefix}` stands for its folder.",
            "# env:",
            "#   NAME: value",
        ]
    for platform in PLATFORMS:
        own: dict[str, Value] = {}
        if first.conda.get(platform):
            own["conda"] = {"packages": list(first.conda[platform])}
        if first.pip.get(platform):
            own["pip"] = {"packages": list(first.pip[platform])}
        if own:
            lines += ["", *write_yaml({platform: own})]
    if first.left:
        lines += ["", "# Not taken:", *_comment(first.left)]
    return "\n".join(lines) + "\n"


def _describe(text: str) -> list[str]:
    """Return the line of the description; people read it, so letters of any language stay letters."""
    if text.isprintable() and not text.isascii():
        return ["description: '" + text.replace("'", "''") + "'"]
    return write_yaml({"description": text})


def _comment(lines: Sequence[str]) -> list[str]:
    """Return lines as comments that no editor has to fold."""
    return [
        line
        for text in lines
        for line in textwrap.wrap(
            f"# {text}", 110, subsequent_indent="#     ", break_long_words=False, break_on_hyphens=False
        )
    ]
