"""What an exception, a signal or a silence inside the probe means."""

import re
from collections.abc import Callable, Mapping

from provisioner.errors import Problem
from provisioner.ground.text import shorten
from provisioner.validate.checks.finding import DRIVER_HINT, Finding
from provisioner.validate.checks.forward import cpu_tensors
from provisioner.validate.model import JSON, ValidationRequest

Recogniser = Callable[[str], Problem | None]
"""Returns what the text of an exception means, None where it is not a known one."""

LONGEST_TEXT = 400
"""Characters of a foreign text in a reason."""

_OWN_ERRORS: Mapping[str, Finding] = {
    "RemoteCodeError": Finding(
        code="remote_code",
        message="the model folder wants to run its own code, which may do anything that you may do",
        hints=("read that code, then repeat with `--trust-remote-code`",),
    ),
    "UnsafeWeightsError": Finding(
        code="unsafe_weights",
        message="the model folder has no safetensors weights; other formats can run code and are not read",
        hints=("convert the weights to safetensors",),
    ),
}
"""The exceptions that the probe itself raises, by their type."""

_MODEL_FILE = ("model_file", "the model cannot be read", "name a complete file or folder")
_MODEL_ERRORS: Mapping[str, tuple[str, str, str]] = {
    "GgufError": _MODEL_FILE,
    "ModelFileError": _MODEL_FILE,
    "FamilyError": (
        "family",
        "no model can be made for the profile's family",
        "name the `family` as transformers does, or a `model` of your own under `validation`",
    ),
}
"""Those whose message says what is wrong with the model, to code, what comes of it, and hint."""

_FUSED = re.compile(r"torch_ipex::\w+")

_SIGNALS: Mapping[int, tuple[str, str]] = {
    4: ("SIGILL", "an instruction that this processor does not have"),
    6: ("SIGABRT", "a library gave up"),
    7: ("SIGBUS", "an access to memory that is not there"),
    8: ("SIGFPE", "an arithmetic error"),
    9: ("SIGKILL", "ended from outside, most often by the system when memory runs out"),
    11: ("SIGSEGV", "an access to memory that is not its own"),
    15: ("SIGTERM", "ended from outside"),
}

_WINDOWS_EXITS: Mapping[int, tuple[str, str]] = {
    0xC0000005: ("access violation", "an access to memory that is not its own"),
    0xC000001D: ("illegal instruction", "an instruction that this processor does not have"),
    0xC0000135: ("DLL not found", "a DLL that the program needs is missing"),
    0xC0000142: ("DLL initialization failed", "a DLL could not start"),
    0xC0000374: ("heap corruption", "a library damaged the heap"),
    0xC0000409: ("stack buffer overrun", "a library gave up"),
    0xC00000FD: ("stack overflow", "a recursion without end"),
}


def explain_error(
    stage: str,
    error: Mapping[str, JSON],
    measured: Mapping[str, JSON],
    request: ValidationRequest,
    *,
    recognise: Recogniser,
) -> Finding:
    """Return what an exception in the probe means."""
    own = _OWN_ERRORS.get(error["type"])
    if own is not None:
        return own
    if error["type"] in _MODEL_ERRORS:
        code, what, hint = _MODEL_ERRORS[error["type"]]
        return Finding(code=code, message=f"{what}: {error['message']}", hints=(hint,))
    text = f"{error['type']}: {error['message']}"
    said = shorten(text, LONGEST_TEXT)
    known = recognise(text)
    if known is not None and known.code == "cpu_fallback":
        operator = _FUSED.search(text)
        return cpu_tensors(measured, request, operator=operator and operator.group())
    what = f"`{measured['importing']}` cannot be imported: " if "importing" in measured else ""
    if known is not None:
        return Finding(code=known.code, message=f"{what}{known.message}: {said}", hints=known.hints)
    if what:
        return Finding(code="import", message=what + said)
    hints = ("read the traceback in the report's `error`",)
    return Finding(code="exception", message=f"`{stage}` raised {said}", hints=hints)


def explain_exit(stage: str, exit_code: int, stderr: str) -> Finding:
    """Return what the probe's death in the middle of a stage means."""
    name, meaning = describe_exit(exit_code)
    place = _crash_place(stderr)
    where = f" in {place}" if place else ""
    code = "host_memory" if exit_code == -9 else "crash"
    hints = {
        "SIGILL": ("use builds of the packages for this processor",),
        "SIGKILL": ("close other programs: the validation needs several gigabytes of memory",),
        "DLL not found": ("install the Microsoft Visual C++ redistributable",),
    }.get(name, (DRIVER_HINT, "run `provision doctor` for the versions of driver and runtime"))
    if name.startswith("exit code"):
        code, hints = "crash", ("read the report's `output`",)
    return Finding(
        code=code, message=f"the probe ended in `{stage}` with {name}, {meaning}{where}", hints=hints
    )


def describe_exit(exit_code: int) -> tuple[str, str]:
    """Return the name and the meaning of an exit code: a signal, a status of Windows, or a plain number."""
    if exit_code < 0:
        return _SIGNALS.get(-exit_code, (f"signal {-exit_code}", "ended by a signal"))
    return _WINDOWS_EXITS.get(exit_code & 0xFFFFFFFF, (f"exit code {exit_code}", "without telling why"))


def explain_timeout(stage: str, deadline_s: float) -> Finding:
    """Return what it means that a stage did not end in time."""
    return Finding(
        code="timeout",
        message=f"`{stage}` did not end within {deadline_s:g} s and was stopped",
        hints=(
            "try again: kernels that were compiled meanwhile are kept where the profile caches them",
            "update the GPU driver if it hangs again",
        ),
    )


def explain_protocol(stage: str, problem: str) -> Finding:
    """Return what it means that the probe's records cannot be trusted."""
    return Finding(
        code="protocol",
        message=f"the records of the probe cannot be trusted in `{stage}`: {problem}",
        hints=("look for a `.pth` file or `sitecustomize` in the environment that writes to open files",),
    )


def explain_exit_crash(exit_code: int | None, deadline_s: float, *, backend: str) -> Finding:
    """Return what it means that every check passed and the process then did not end cleanly."""
    wait = "" if backend == "openvino" else "`torch.xpu.synchronize()` and "
    if exit_code is None:
        how = f"did not end within {deadline_s:g} s"
    else:
        name, meaning = describe_exit(exit_code)
        how = f"ended with {name}, {meaning}"
    return Finding(
        code="exit_crash",
        message=f"every check passed, but the process then {how}: scripts in this environment will too",
        hints=(
            DRIVER_HINT,
            f"end scripts with {wait}`os._exit(0)` until then",
        ),
    )


def _crash_place(stderr: str) -> str | None:
    """Return the innermost Python frame that faulthandler printed."""
    _, found, trace = stderr.partition("Current thread")
    frame = (
        re.search(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>\S+)', trace) if found else None
    )
    return None if frame is None else f"`{frame['name']}` (`{frame['file']}`, line {frame['line']})"
