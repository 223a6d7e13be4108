"""What it means that uv has found no set of wheels."""

import re
from collections.abc import Iterator
from contextlib import suppress

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from provisioner.engines.index.loopback import Shelf
from provisioner.engines.net.addresses import host_and_port
from provisioner.errors import ErrorList, InternalError, ProvisionError, ResolveError, UnavailableError
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.profile.torch_rules import TORCH_KIN
from provisioner.resolve.request import PipRequest

_TAGS_SHOWN = 6


def join_failures(failures: list[ProvisionError]) -> ProvisionError:
    """Return one error for what an index could not serve, which uv has called "no solution"."""
    # One host that fails for one reason is told once, not once per project.
    unique = list({(each.code, each.context.get("host")): each for each in reversed(failures)}.values())[::-1]
    serious = [failure for failure in unique if not isinstance(failure, UnavailableError)]
    if len(unique) == 1 or serious:
        return (serious or unique)[0]
    return ErrorList(unique)


def explain_failure(said: str, exit_code: int, shelf: Shelf) -> ProvisionError:
    """Return what a failure of uv means."""
    request = shelf.request
    reason = said.strip()
    if "No solution found" not in reason:
        return InternalError(
            "internal.uv", f"uv failed on `{request.platform}` with exit code {exit_code}: {reason}"
        )
    asked = [name for name in shelf.shown if shelf.index_of(name) == DEFAULT_INDEX]
    asked = [name for name in asked if name not in request.provided]
    if len(asked) > 1 and all(shelf.source.read_page(None, name) is None for name in asked):
        host = host_and_port(shelf.source.default_index)
        return UnavailableError(
            "unavailable.not_found",
            f"the default index at `{host}` has none of the {len(asked)} packages that it was asked for, "
            f"`{asked[0]}` among them",
            hints=["check the address of the default index in pip's or uv's configuration"],
            context={"host": host},
        )
    named = {canonicalize_name(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", reason)}
    unrouted = [kin for kin in TORCH_KIN if kin in named and kin not in request.routes]
    if unrouted and "torch" in request.routes:
        return _unrouted(unrouted[0], request.routes["torch"], reason)
    own = dict.fromkeys((*request.overrides, *request.requirements), "")
    for text in (*own, *_find_asked(reason, shelf)):
        if tags := shelf.find_other_wheels(Requirement(text)):
            return _no_wheel(text, tags, request, told=own.get(text, reason))
    hidden = [
        f"look at `{project}`: {', '.join(what)} are hidden by the profile"
        for project in sorted(named & shelf.shown.keys())
        if (what := shelf.find_hidden(project))
    ]
    return ResolveError(
        "resolve.unsatisfiable",
        f"no set of wheels answers the profile on `{request.platform}`; the solver says:\n{_indent(reason)}",
        hints=[
            "change one of the requirements named above, or state in `pip.overrides` which one wins and why",
            *hidden[:3],
        ],
        context={"platform": request.platform},
    )


def _unrouted(kin: str, index: str, told: str) -> ResolveError:
    """Return the error for what is compiled against torch and comes from another index than torch."""
    return ResolveError(
        "resolve.missing_route",
        f"a package asks for `{kin}`, which has no route: the default index has it built for another torch "
        f"than `{index}` has; the solver says:\n{_indent(told)}",
        hints=[f"route `{kin}` to `{index}` under `pip.routes`"],
    )


def _find_asked(reason: str, shelf: Shelf) -> Iterator[str]:
    """Yield the requirements that the solver's reason names, which are those of packages."""
    for word in re.findall(r"[A-Za-z0-9][^\s|]*", reason):
        with suppress(InvalidRequirement):
            requirement = Requirement(word.rstrip(",.:"))
            if canonicalize_name(requirement.name) in shelf.shown:
                yield str(requirement)


def _no_wheel(requirement: str, tags: list[str], request: PipRequest, *, told: str) -> ResolveError:
    """Return the error for versions that exist, for other Pythons or systems than the wanted one.

    ``told`` is what the solver says, which names who asks; empty where the profile asks.
    """
    name = Requirement(requirement).name
    own = f"cp{request.python.replace('.', '')}-"  # what has the wanted Python, for other systems, says most
    tags = sorted(tags, key=lambda tag: not tag.startswith(own))
    others = f" and {len(tags) - _TAGS_SHOWN} more" if len(tags) > _TAGS_SHOWN else ""
    asked = ", which another package asks for, has no wheel" if told else " has no wheel"
    return ResolveError(
        "resolve.no_wheel",
        f"`{requirement}`{asked} for Python {request.python} on `{request.platform}`; its index has it "
        f"for {', '.join(f'`{tag}`' for tag in tags[:_TAGS_SHOWN])}{others}"
        + (f"; the solver says:\n{_indent(told)}" if told else ""),
        hints=[
            f"choose another version of what asks for `{name}`, or a `python` that has a wheel"
            if told
            else f"choose another version of `{name}`, or a `python` that has a wheel",
            f"if nobody needs `{request.platform}`, leave it out of the profile's `platforms`",
        ],
        context={"platform": request.platform, "python": request.python},
    )


def _indent(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())
