"""What an exception, a signal or a silence inside the probe means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.validate.checks.finding import DRIVER_HINT, REBUILD_HINT, Finding
from provisioner.validate.checks.forward import cpu_tensors
from provisioner.validate.model import JSON, ValidationRequest

_LONGEST_REASON = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pattern:
    """Text of an error and what it means; ``reason`` is filled with the groups of the pattern."""

    code: str
    pattern: re.Pattern[str]
    reason: str
    hints: tuple[str, ...] = ()


_FUSED_ON_CPU = re.compile(r"Could not run '(?P<operator>[\w:.]+)' with arguments from the 'CPU' backend")

_PATTERNS = (
    _Pattern(
        code="device_lost",
        pattern=re.compile(
            r"DEVICE_LOST|device (?:was |is )?lost|DEVICE_REMOVED|uncorrectable ECC", re.IGNORECASE
        ),
        reason="the device was lost while it worked",
        hints=(
            "restart the machine before the next attempt: the driver may not recover by itself",
            DRIVER_HINT,
            "check the device's power supply and temperature",
        ),
    ),
    _Pattern(
        code="host_memory",
        pattern=re.compile(
            r"\bMemoryError|DefaultCPUAllocator|not enough memory: you tried|Cannot allocate memory|bad_alloc"
        ),
        reason="the machine's own memory is full",
        hints=("close other programs", "raise the memory limit of the validation if one is set"),
    ),
    _Pattern(
        code="device_memory",
        pattern=re.compile(
            r"out of memory|OutOfMemoryError|OUT_OF_DEVICE_MEMORY|OUT_OF_RESOURCES|ALLOCATION_FAILED",
            re.IGNORECASE,
        ),
        reason="the device's memory is full",
        hints=("close other programs that use the GPU", "choose a lower precision or a smaller model"),
    ),
    _Pattern(
        code="mixed_devices",
        pattern=re.compile(
            r"(?:at least two devices, |is on )(?P<one>(?:cpu|xpu|cuda)[:\d]*)"
            r"(?: and |, .*? on )(?P<two>[\w:]+)"
        ),
        reason="tensors on `{one}` and on `{two}` met in one operator",
        hints=(
            "use the transformers version that the stack supports for this family",
            "move every input with `.to('xpu')`",
        ),
    ),
    _Pattern(
        code="missing_library",
        pattern=re.compile(r"(?P<library>[\w.+-]+\.so[\w.]*): cannot open shared object file"),
        reason="the shared library `{library}` cannot be found",
        hints=(
            "run `provision doctor` for what the driver and runtime packages lack",
            "run `provision repair` if the library belongs to the environment",
        ),
    ),
    _Pattern(
        code="missing_library",
        pattern=re.compile(r"undefined symbol: (?P<symbol>\S+)"),
        reason="a native library wants `{symbol}`, which none here has: two generations are mixed",
        hints=(REBUILD_HINT,),
    ),
    _Pattern(
        code="missing_library",
        pattern=re.compile(r'Error loading "(?P<library>[^"]+)" or one of its dependencies'),
        reason="`{library}` or a DLL that it needs cannot be loaded",
        hints=(
            "install the Microsoft Visual C++ redistributable",
            "add `libuv` to the profile's conda packages, which torch on Windows needs",
        ),
    ),
    _Pattern(
        code="missing_library",
        pattern=re.compile(r"DLL load failed while importing (?P<module>[\w.]+)"),
        reason="a DLL that `{module}` needs cannot be loaded",
        hints=(
            "install the Microsoft Visual C++ redistributable",
            "run `provision doctor` for what the driver and runtime packages lack",
        ),
    ),
    _Pattern(
        code="missing_module",
        pattern=re.compile(r"No module named '(?P<module>[\w.]+)'"),
        reason="the module `{module}` is missing",
        hints=(REBUILD_HINT,),
    ),
    _Pattern(
        code="remote_code",
        pattern=re.compile(r"wants to run its own code"),
        reason="the model folder wants to run its own code, which may do anything that you may do",
        hints=("read that code, then repeat with `--trust-remote-code`",),
    ),
    _Pattern(
        code="unsafe_weights",
        pattern=re.compile(r"has no safetensors weights"),
        reason="the model folder has no safetensors weights; other formats can run code and are not read",
        hints=("convert the weights to safetensors",),
    ),
)

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
    stage: str, error: Mapping[str, JSON], measured: Mapping[str, JSON], request: ValidationRequest
) -> Finding:
    """Return what an exception in the probe means."""
    text = f"{error['type']}: {error['message']}"
    found = _FUSED_ON_CPU.search(text)
    if found is not None and found["operator"].startswith("torch_ipex::"):
        return cpu_tensors(measured, request, operator=found["operator"])
    what = f"`{measured['importing']}` cannot be imported: " if "importing" in measured else ""
    for entry in _PATTERNS:
        match = entry.pattern.search(text)
        if match is not None:
            reason = what + entry.reason.format(**match.groupdict())
            if entry.code == "host_memory" and error["type"] == "MemoryError" and error["message"]:
                reason = f"{reason}: {shorten(str(error['message']))}"
            return Finding(code=entry.code, reason=reason, hints=entry.hints)
    code = "import" if what else "exception"
    return Finding(
        code=code,
        reason=(what or f"`{stage}` raised ") + shorten(text),
        hints=("read the traceback in the report's `error`",) if not what else (),
    )


def explain_exit(stage: str, exit_code: int, stderr: str) -> Finding:
    """Return what the probe's death in the middle of a stage means."""
    name, meaning = describe_exit(exit_code)
    place = _crash_place(stderr)
    where = f" in {place}" if place else ""
    code = "host_memory" if exit_code == -9 else "crash"
    hints = {
        "SIGILL": ("use a build of torch for this processor",),
        "SIGKILL": ("close other programs: the validation needs several gigabytes of memory",),
        "DLL not found": ("install the Microsoft Visual C++ redistributable",),
    }.get(name, (DRIVER_HINT, "run `provision doctor` for the versions of driver and runtime"))
    if name.startswith("exit code"):
        code, hints = "crash", ("read the report's `output`",)
    return Finding(
        code=code, reason=f"the probe ended in `{stage}` with {name}, {meaning}{where}", hints=hints
    )


def describe_exit(exit_code: int) -> tuple[str, str]:
    """Return the name and the meaning of an exit code: a signal, a status of Windows, or a plain number."""
    if exit_code < 0:
        return _SIGNALS.get(-exit_code, (f"signal {-exit_code}", "ended by a signal"))
    return _WINDOWS_EXITS.get(exit_code & 0xFFFFFFFF, (f"exit code {exit_code}", "without telling why"))


def explain_timeout(stage: str, deadline_s: float, stderr: str) -> Finding:
    """Return what it means that a stage did not end in time."""
    del stderr
    return Finding(
        code="timeout",
        reason=f"`{stage}` did not end within {deadline_s:g} s and was stopped",
        hints=(
            "try again: kernels that were compiled meanwhile are kept where the profile caches them",
            "update the GPU driver if it hangs again",
        ),
    )


def explain_protocol(stage: str, problem: str) -> Finding:
    """Return what it means that the probe's records cannot be trusted."""
    return Finding(
        code="protocol",
        reason=f"the records of the probe cannot be trusted in `{stage}`: {problem}",
        hints=("look for a `.pth` file or `sitecustomize` in the environment that writes to open files",),
    )


def explain_exit_crash(exit_code: int | None, deadline_s: float) -> Finding:
    """Return what it means that every check passed and the process then did not end cleanly."""
    if exit_code is None:
        how = f"did not end within {deadline_s:g} s"
    else:
        name, meaning = describe_exit(exit_code)
        how = f"ended with {name}, {meaning}"
    return Finding(
        code="exit_crash",
        reason=f"every check passed, but the process then {how}: scripts in this environment will too",
        hints=(
            DRIVER_HINT,
            "end scripts with `torch.xpu.synchronize()` and `os._exit(0)` until then",
        ),
    )


def _crash_place(stderr: str) -> str | None:
    """Return the innermost Python frame that faulthandler printed."""
    _, found, trace = stderr.partition("Current thread")
    frame = (
        re.search(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>\S+)', trace) if found else None
    )
    return None if frame is None else f"`{frame['name']}` (`{frame['file']}`, line {frame['line']})"


def shorten(text: str) -> str:
    """Return the first and the last part of a long text on one line, without control characters."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    if len(line) <= _LONGEST_REASON:
        return line
    return f"{line[: _LONGEST_REASON // 2]} … {line[-_LONGEST_REASON // 2 :]}"
