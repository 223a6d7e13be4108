"""Keep a program and its children together: a session on POSIX, a job object on Windows.

One class per platform, of one shape: everything that differs between them in starting and ending is here.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

CHANNEL_VARIABLE = "PROVISION_CHANNEL"
"""Tells a child where its private pipe is: a file descriptor, on Windows a handle."""

_POLL_S = 0.005

_PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

# The kernel signals the program when we die, even by SIGKILL. It has to be asked for between fork and exec,
# and Python code there (`preexec_fn`) can deadlock in a process with threads: a launcher does it after the
# exec and becomes the program. It also undoes that we ignore SIGTERM while we are stopping: a program that
# starts then would inherit it, and would have to be waited for.
_LAUNCHER = (
    "import _signal,ctypes,os,sys;"
    "_signal.signal(15,_signal.SIG_DFL);"
    "ctypes.CDLL(None).prctl(1,9);"
    "os.getppid()==int(sys.argv[1]) or os._exit(137);"
    "os.execv(sys.argv[2],sys.argv[2:])"
)

if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _KILL_ON_CLOSE = 0x2000
    _EXTENDED_LIMITS = 9
    # CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_SUSPENDED
    _CREATION_FLAGS = 0x200 | 0x8000000 | 0x4

    class _ExtendedLimits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION, of which only the flags are set."""

        _fields_ = (
            ("times", ctypes.c_int64 * 2),
            ("flags", wintypes.DWORD),
            ("sizes", ctypes.c_size_t * 2),
            ("processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("classes", wintypes.DWORD * 2),
            ("counters", ctypes.c_uint64 * 6),
            ("memory", ctypes.c_size_t * 4),
        )

    def _raise_failure(result: Any, *_: Any) -> Any:
        if not result:
            raise ctypes.WinError(ctypes.get_last_error())
        return result

    def _raise_status(status: Any, *_: Any) -> Any:
        if status:
            raise OSError(f"Windows did not let the program run: status {status & 0xFFFFFFFF:#x}")
        return status

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.CreateJobObjectW.restype = wintypes.HANDLE
    _kernel.SetInformationJobObject.argtypes = (
        wintypes.HANDLE,
        ctypes.c_int,
        ctypes.c_void_p,
        wintypes.DWORD,
    )
    _kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
    _kernel.TerminateJobObject.argtypes = (wintypes.HANDLE, wintypes.UINT)
    _kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    for _function in (
        _kernel.CreateJobObjectW,
        _kernel.SetInformationJobObject,
        _kernel.AssignProcessToJobObject,
        _kernel.TerminateJobObject,
        _kernel.CloseHandle,
    ):
        _function.errcheck = _raise_failure
    _native = ctypes.WinDLL("ntdll")
    _native.NtResumeProcess.argtypes = (wintypes.HANDLE,)
    _native.NtResumeProcess.errcheck = _raise_status

    class ProcessGroup:
        """A job object that ends its processes when its last handle closes, so also when we die."""

        def __init__(self) -> None:
            """Make the job."""
            self._pid: int | None = None
            self._job: int | None = _kernel.CreateJobObjectW(None, None)
            limits = _ExtendedLimits(flags=_KILL_ON_CLOSE)
            _kernel.SetInformationJobObject(
                self._job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
            )

        def start(
            self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, channel: int | None = None
        ) -> subprocess.Popen[bytes]:
            """Start the program in the job; ``channel`` is a pipe that it gets beside the standard ones.

            It starts suspended: a child born before the job is joined would escape it.
            """
            environment, options = dict(env), dict[str, Any](_PIPES)
            if channel is not None:
                handle = msvcrt.get_osfhandle(channel)
                os.set_handle_inheritable(handle, True)  # noqa: FBT003 - the function's only form
                options["startupinfo"] = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
                environment[CHANNEL_VARIABLE] = str(handle)
            process = subprocess.Popen(  # noqa: S603 - an argument list
                list(argv), env=environment, cwd=cwd, creationflags=_CREATION_FLAGS, **options
            )
            handle = int(process._handle)  # type: ignore[attr-defined] # noqa: SLF001 - Popen has no public name for it
            try:
                _kernel.AssignProcessToJobObject(self._job, handle)
                _native.NtResumeProcess(handle)
            except OSError:
                process.kill()
                raise
            self._pid = process.pid
            return process

        def wait_without_reaping(self, process: subprocess.Popen[bytes]) -> None:
            """Block until the program ends; its handle stays open."""
            process.wait()

        def terminate(self) -> None:
            """Send Ctrl-Break, the one event for a group; without a console it has no effect."""
            if self._pid is not None:
                with suppress(OSError):
                    os.kill(self._pid, signal.CTRL_BREAK_EVENT)

        def kill(self) -> None:
            """End every process of the job."""
            if self._job is not None:
                _kernel.TerminateJobObject(self._job, 1)

        def wait_until_gone(self, *, timeout_s: float) -> None:
            """Wait for nothing: what a job's end leaves of its processes runs no more code."""

        def close(self) -> None:
            """Close the job."""
            job, self._job, self._pid = self._job, None, None
            if job is not None:
                _kernel.CloseHandle(job)

else:

    class ProcessGroup:
        """A session of its own."""

        def __init__(self) -> None:
            """Start empty."""
            self._pid: int | None = None

        def start(
            self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, channel: int | None = None
        ) -> subprocess.Popen[bytes]:
            """Start the program in the session; ``channel`` is a pipe that it gets beside the standard ones.

            On Linux a launcher first asks for a signal at our death; other systems have none.
            """
            command, environment, options = list(argv), dict(env), dict[str, Any](_PIPES)
            if sys.platform.startswith("linux") and sys.executable:
                command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
            if channel is not None:
                options["pass_fds"] = (channel,)
                environment[CHANNEL_VARIABLE] = str(channel)
            process = subprocess.Popen(  # noqa: S603 - an argument list
                command, env=environment, cwd=cwd, start_new_session=True, **options
            )
            self._pid = process.pid
            return process

        def wait_without_reaping(self, process: subprocess.Popen[bytes]) -> None:
            """Block until the leader ends and leave it as a zombie, whose number nobody else can get."""
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        def terminate(self) -> None:
            """Send SIGTERM, and SIGCONT so that a stopped program sees it."""
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)

        def kill(self) -> None:
            """Send SIGKILL."""
            self._signal(signal.SIGKILL)

        def wait_until_gone(self, *, timeout_s: float) -> None:
            """Wait for the others of a killed group whose leader is reaped: their end takes milliseconds.

            Their number is the group's until the last of them is gone. A zombie that nobody reaps, as in
            containers whose first process does not, is gone all the same.
            """
            deadline = time.monotonic() + timeout_s
            while self._pid is not None and _has_members(self._pid) and time.monotonic() < deadline:
                time.sleep(_POLL_S)

        def close(self) -> None:
            """Forget the group: once reaped, its number may become another's."""
            self._pid = None

        def _signal(self, number: signal.Signals) -> None:
            if self._pid is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, number)

    def _has_members(group: int) -> bool:
        """Tell whether a process of the group still runs; zombies do not."""
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        states = list(_list_states(group))
        # Without /proc (other systems than Linux) the kernel's word is all there is.
        return not Path("/proc/self/stat").exists() or any(state not in "ZX" for state in states)

    def _list_states(group: int) -> Iterator[str]:
        """Yield the state of every process of a group, as `ps` writes it."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError, ValueError, IndexError):
                # The name before may hold anything, also `)`.
                state, _, member_of = path.read_text(errors="replace").rpartition(")")[2].split()[:3]
                if int(member_of) == group:
                    yield state
