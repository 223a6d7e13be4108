"""Rules that no resolution may break, whatever the solvers say.

Each rule stands for a failure that users met at run time; the sentences name it. Facts: ipex-llm 2.2.0's
metadata and its documentation for Intel GPUs. The rules for packages around torch
are in ``profile.torch_rules``.
"""

from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from provisioner.errors import ErrorList, ResolveError
from provisioner.profile.model import Family, Platform, Profile, TorchVariant
from provisioner.profile.torch_rules import CONDA_TORCH, IPEX, IPEX_LLM, find_torch_problems
from provisioner.resolve.model import CondaPackage, PlatformResolution, Resolution

SEED = "Could not run 'torch_ipex::mul_add' with arguments from the 'CPU' backend"

_LISTED = 4  # packages of another build that are named; who replaces torch brings a dozen
# Extra of ipex-llm 2.2.0 to the IPEX version that it pins; None where its stack has no IPEX.
_IPEX_OF_EXTRA: dict[str, str | None] = {
    "": None,
    "all": None,
    "xpu": "2.1.10",
    "xpu-2-1": "2.1.10",
    "xpu-arc": "2.3.110",
    "xpu-lnl": "2.3.110",
    "xpu-arl": "2.3.110",
    "xpu-2-6": None,
    "xpu-2-6-arl": None,
}
# What ipex-llm 2.2.0 patches per family, as its examples pin it; a profile narrows this with `transformers`.
_TRANSFORMERS_OF_FAMILY: Mapping[str, SpecifierSet] = {
    Family.LLAMA3: SpecifierSet(">=4.37.0,<4.46"),
    Family.CHATGLM2: SpecifierSet(">=4.37.0,<4.45"),
}
# Code of a problem with the packages to what comes of it, and to the remedy in the profile.
_CONSEQUENCES = {
    "no_torch": ("no model runs without it", "name torch in the profile, with the variant's local version"),
    "torch_variant": (
        f"a torch that was replaced by another build is why models run on the CPU or die in `{SEED}`",
        "pin torch to a version of the variant, and route it with torchvision and torchaudio",
    ),
    "kin_variant": (
        "beside a torch that it was not built with it dies in `operator torchvision::nms does not exist`",
        "route it to the index that torch comes from, under `pip.routes`, and pin it to the variant's build",
    ),
    "ipex_beside_ipex_llm": (
        f"IPEX beside an ipex-llm that was built with another one ends in `{SEED}`",
        "drop the separate IPEX requirement: ipex-llm installs the one that it was built with",
    ),
    "ipex_without_ipex_llm": (
        "IPEX fits one release of torch only, and torch 2.6 and newer runs on Intel GPUs without it",
        "drop what asks for IPEX, which Intel has archived",
    ),
    "other_core": (
        "native code that was built for another torch crashes it",
        "choose the extra of ipex-llm that is made for this torch",
    ),
    "mixed_runtimes": (
        "two SYCL runtimes in one process crash it",
        "pin the runtime packages to the release that torch was built with",
    ),
}


def check_profile(profile: Profile) -> None:
    """Refuse what is wrong before anything is asked of an index.

    Raises:
        ResolveError: One problem; ``ErrorList`` where there are several.
    """
    _raise_all([error for platform in profile.platforms for error in _find_foreign_ipex(profile, platform)])


def check_conda(profile: Profile, packages: Sequence[CondaPackage]) -> None:
    """Refuse a torch among conda packages, before wheels are solved within what they bring.

    The profile names none (`profile.contradictions`), so another package has brought it.

    Raises:
        ResolveError: One problem; ``ErrorList`` where there are several.
    """
    _raise_all(
        [
            _brought_torch(profile, packages, package.name)
            for package in packages
            if package.name in CONDA_TORCH
        ]
    )


def _brought_torch(profile: Profile, packages: Sequence[CondaPackage], name: str) -> ResolveError:
    chain = [name]
    while asker := next(
        (each.name for each in packages if chain[-1] in each.dependencies and each.name not in chain), None
    ):
        chain.append(asker)
    asked = ", that by ".join(f"`{each}`" for each in chain[1:])
    return ResolveError(
        "resolve.conda_torch",
        f"profile `{profile.name}`: conda's `{name}`, asked for by {asked}, would be installed beside pip's "
        "torch and imported in its place",
        hints=[f"drop `{chain[-1]}` from `conda.packages`, or take it from pip: torch comes from pip alone"],
        context={"package": name, "asked_by": chain[1:]},
    )


def check_resolution(profile: Profile, resolution: Resolution) -> None:
    """Refuse an answer that would install and not run.

    Raises:
        ResolveError: One problem; ``ErrorList`` where there are several.
    """
    _raise_all([error for answer in resolution.platforms for error in _find_errors(profile, answer)])


def _raise_all(errors: list[ResolveError]) -> None:
    # The same mistake usually is made for both platforms; it is reported once.
    unique = list({error.message: error for error in errors}.values())
    if len(unique) == 1:
        raise unique[0]
    if unique:
        raise ErrorList(unique)


def _find_foreign_ipex(profile: Profile, platform: Platform) -> Iterator[ResolveError]:
    """Yield an error for a requirement of IPEX that the wanted ipex-llm contradicts."""
    wanted = {
        str(canonicalize_name(requirement.name)): requirement
        for text in (*platform.pip, *(decision.requirement for decision in platform.overrides))
        for requirement in (Requirement(text),)
    }
    ipex, ipex_llm = wanted.get(IPEX), wanted.get(IPEX_LLM)
    if ipex is None or (ipex_llm is None and profile.torch is TorchVariant.IPEX):
        return  # whether it fits its torch is known when both are solved
    extras = {str(canonicalize_name(extra)) for extra in ipex_llm.extras} if ipex_llm else set()
    pin = next((_IPEX_OF_EXTRA[extra] for extra in sorted(extras) if _IPEX_OF_EXTRA.get(extra)), None)
    stack = f"`{ipex_llm}`" if ipex_llm else f"torch variant `{profile.torch}`"
    if pin is None:
        reason = f"`{ipex}` is asked for beside {stack}, a stack without IPEX"
    elif not ipex.specifier.contains(f"{pin}+xpu", prereleases=True):
        reason = f"`{ipex}` is asked for beside {stack}, which brings its own IPEX {pin}+xpu"
    else:
        return
    yield _make_error(profile, f"ipex_{'beside' if ipex_llm else 'without'}_ipex_llm", reason)


def _find_errors(profile: Profile, answer: PlatformResolution) -> Iterator[ResolveError]:
    packages = {package.name: package.version for package in answer.pip if not package.validation}
    problems = list(find_torch_problems(packages, profile.torch))
    others = [problem for problem in problems if problem.code == "torch_variant"]
    for problem in problems:
        if problem in others[1:]:
            continue  # told with the first
        if problem in others:
            yield _other_build(profile, answer, [each.message for each in others])
        else:
            reason = f"in the solution for `{answer.platform}`, {problem.message}"
            yield _make_error(profile, problem.code, reason)
    transformers = packages.get("transformers")
    if transformers:
        yield from _check_transformers(profile, answer.platform, transformers)


def _other_build(profile: Profile, answer: PlatformResolution, messages: Sequence[str]) -> ResolveError:
    """Return one error for a torch of another build and what it brought; messages begin with a package."""
    ranked = sorted(messages, key=lambda message: not message.startswith("`torch "))
    names = [message.split("`")[1].partition(" ")[0] for message in ranked]
    asker = _find_asker(answer, names[0])
    reason = f"in the solution for `{answer.platform}`, {ranked[0]}"
    if names[1:]:
        listed = ", ".join(f"`{name}`" for name in names[1:_LISTED])
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        reason += f", nor are {listed}{more}"
    reason += f"; `{asker}` brings it" if asker else ""
    error = _make_error(profile, "torch_variant", reason)
    if profile.torch is TorchVariant.NONE:
        what = f"`{asker}`" if asker else "what brings it"
        error.hints = (f"drop {what}, or build on a stack with torch (`extends`): this one has none",)
    elif asker:
        error.hints = (*error.hints, f"or drop `{asker}`, if it takes no other torch")
    return error


def _find_asker(answer: PlatformResolution, name: str) -> str | None:
    """Return the package at the top of the chain that asks for one; None where nobody does."""
    seen = [name]
    while asker := next(
        (each.name for each in answer.pip if seen[-1] in each.dependencies and each.name not in seen), None
    ):
        seen.append(asker)
    return seen[-1] if len(seen) > 1 else None


def _make_error(profile: Profile, code: str, reason: str) -> ResolveError:
    consequence, hint = _CONSEQUENCES[code]
    return ResolveError(
        f"resolve.{code}",
        f"profile `{profile.name}`: {reason}; {consequence}",
        hints=[hint],
        context={"profile": profile.name, "variant": profile.torch.value},
    )


def _check_transformers(profile: Profile, platform: str, version: str) -> Iterator[ResolveError]:
    allowed = SpecifierSet(profile.transformers or "")
    why = "the profile says so with `transformers`"
    if profile.validation.backend == "ipex-llm":
        patched = _TRANSFORMERS_OF_FAMILY[profile.family]
        if not patched.contains(version, prereleases=True):
            why = (
                "ipex-llm patches the model's classes by their names and attributes, and other versions fail "
                "inside the forward pass"
            )
        allowed &= patched
    if not allowed.contains(version, prereleases=True):
        yield ResolveError(
            "resolve.transformers",
            f"profile `{profile.name}`: transformers {version} on `{platform}` does not fit family "
            f"`{profile.family}`, which needs `{allowed}`: {why}",
            hints=[f"pin a transformers of `{allowed}`"],
        )
