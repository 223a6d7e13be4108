"""The built environment: its packages, what torch says, and whether a kernel runs."""

from collections.abc import Iterator

from provisioner.diagnose.machine.facts import EnvironmentFacts, HostFacts, TorchFacts
from provisioner.diagnose.machine.layers.model import (
    LayerResult,
    WantedHost,
    failed,
    not_asked,
    not_needed,
    passed,
    unknown,
)
from provisioner.ground.text import count_of
from provisioner.profile.model import TorchVariant
from provisioner.profile.torch_rules import find_torch_problems
from provisioner.validate.checks.finding import REBUILD_HINT

_VALIDATE_HINT = "run `provision validate` to try it now"
_EXPLAIN_HINT = "run `provision explain` for the cause, and `provision validate` when it is mended"


def check_environment(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Judge the environment's files: Python, torch's build, Intel's packages, differences to the lock."""
    environment = facts.environment
    if environment is None:
        return _explain_absence(wanted)
    problems = list(find_problems(environment, wanted.torch))
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        return failed(problems[0] + more, REBUILD_HINT)
    parts = {
        "packages": environment.distributions,
        "interpreter and torch's files": environment.damage,
        "differences to the lock": environment.locked,
        "missing libraries": environment.missing_libraries,
    }
    packages = environment.distributions or {}
    torch = f", torch {packages['torch']}" if "torch" in packages else ""
    summary = f"Python {environment.python or '?'}, {count_of(len(packages), 'package')}{torch}"
    unread = [name for name, value in parts.items() if value is None]
    if unread:
        return unknown(f"{summary}; not looked at: {', '.join(unread)}")
    return passed(summary)


def check_torch(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Tell what the last validation saw of torch: whether it imports and lists the device."""
    said = facts.torch
    if wanted.torch == TorchVariant.NONE:
        return not_needed("the stack has no torch")
    if said is None:
        return _explain_absence(wanted)
    version = f"torch {said.version or 'of unknown version'}"
    if wanted.uses_gpu and said.devices:
        did = f"saw {version} list {said.devices[0]}"
        return not_asked(f"doctor does not start torch; {_name_validation(said)} {did}")
    if not wanted.uses_gpu and said.version and said.unasked is None:
        return not_asked(f"doctor does not start torch; {_name_validation(said)} imported {version}")
    if said.error is None and said.devices is None:
        return _explain_silence(said, f"did not ask torch for a device of kind `{wanted.device}`")
    did = f"{version} listed no XPU device" if wanted.uses_gpu else "torch did not import"
    return _explain_failure(said, did)


def check_kernel(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Tell whether a small matrix product came back right from the device at the last validation."""
    said = facts.torch
    if said is None:
        return _explain_absence(wanted)
    if said.kernel_ran is None:
        return _explain_silence(said, f"ran no kernel on a device of kind `{wanted.device}`")
    if said.kernel_ran:
        did = f"got a right matrix product from the {wanted.device}"
        return not_asked(f"doctor starts no kernel; {_name_validation(said)} {did}", _VALIDATE_HINT)
    return _explain_failure(said, "a matrix product failed")


def _explain_absence(wanted: WantedHost) -> LayerResult:
    if wanted.built:
        return unknown(
            f"this environment was not validated on a device of kind `{wanted.device}`", _VALIDATE_HINT
        )
    return not_needed("there is no built environment to look at")


def _name_validation(said: TorchFacts) -> str:
    return f"the validation of {said.asked_at[:10]}" if said.asked_at else "the last validation"


def _explain_silence(said: TorchFacts, missed: str) -> LayerResult:
    why = f": {said.error}" if said.error else ""
    return unknown(f"{_name_validation(said)} {said.unasked or missed + why}", _VALIDATE_HINT)


def _explain_failure(said: TorchFacts, did: str) -> LayerResult:
    error = f": {said.error}" if said.error else ""
    return failed(f"at {_name_validation(said)} {did}{error}", _EXPLAIN_HINT)


def find_problems(environment: EnvironmentFacts, torch: TorchVariant | None) -> Iterator[str]:
    """Yield what is wrong with an environment's files, the worst first; ``torch`` is the wanted variant."""
    problems = tuple(_find_problems(environment, torch))
    yield from problems
    if environment.changed and not problems:
        others = f" and {len(environment.changed) - 1} more files are" if environment.changed[1:] else " is"
        yield f"`{environment.changed[0]}`{others} not as built: `provision verify` names what was changed"


def _find_problems(environment: EnvironmentFacts, torch: TorchVariant | None) -> Iterator[str]:
    yield from environment.damage or ()
    if environment.distributions is None:
        return
    installed = dict(environment.distributions)
    said, recorded = environment.torch_version, installed.get("torch")
    if said and recorded:
        if said not in {recorded, f"{recorded}+{said.partition('+')[2]}"}:
            yield f"torch's files are those of {said}, its package record is that of {recorded}"
        installed["torch"] = said  # a record may leave the build out; torch's own code never does
    if torch is not None:
        for problem in find_torch_problems(installed, torch):
            replaced = problem.code in {"torch_variant", "kin_variant"}
            yield f"{problem.message}: another install replaced it" if replaced else problem.message
    yield from (f"the library `{library}` is missing" for library in environment.missing_libraries or ())
    for name, version in sorted((environment.locked or {}).items()):
        found = environment.distributions.get(name, "is missing")
        if found != version:
            yield f"changed since it was built: {name} {found} (locked {version})"
