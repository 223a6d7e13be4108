"""Keep a program and its children together: process groups on POSIX, job objects on Windows.

The two classes have one shape; everything that differs between the platforms about ending programs is here.
"""

import os
import signal
import sys
from contextlib import suppress
from typing import Any, Protocol

# The kernel signals the program when we die, even by SIGKILL. It has to be asked for between fork and exec,
# and Python code there (`preexec_fn`) can deadlock in a process with threads: a launcher does it after the
# exec and becomes the program.
_LAUNCHER = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,9);"
    "os.getppid()==int(sys.argv[1]) or os._exit(137);"
    "os.execv(sys.argv[2],sys.argv[2:])"
)


class Started(Protocol):
    """What is asked of a started program (``subprocess.Popen`` is one)."""

    pid: int

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        ...


class ProcessGroup(Protocol):
    """The group of one program."""

    def popen_options(self) -> dict[str, Any]:
        """Return the arguments for ``Popen`` that make the group."""
        ...

    def launcher(self, python: str) -> list[str]:
        """Return what to put before the program so that it dies with us."""
        ...

    def adopt(self, process: Started) -> None:
        """Take the started program into the group."""
        ...

    def wait_without_reaping(self, process: Started) -> None:
        """Block until the program ends; its number stays taken, so that killing the group is safe."""
        ...

    def terminate(self) -> None:
        """Ask all to end."""
        ...

    def kill(self) -> None:
        """End all."""
        ...

    def close(self) -> None:
        """Release what the group holds."""
        ...


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
    _native = ctypes.WinDLL("ntdll")
    _native.NtResumeProcess.argtypes = (wintypes.HANDLE,)

    class WindowsJob:
        """A job object that ends its processes when its last handle closes, so also when we die."""

        def __init__(self) -> None:
            """Make the job."""
            self._pid: int | None = None
            self._job: int | None = _kernel.CreateJobObjectW(None, None)
            limits = _ExtendedLimits(flags=_KILL_ON_CLOSE)
            _kernel.SetInformationJobObject(
                self._job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
            )

        def popen_options(self) -> dict[str, Any]:
            """Start suspended: a child born before the job is joined would escape it."""
            return {"creationflags": _CREATION_FLAGS}

        def launcher(self, python: str) -> list[str]:
            """Return nothing: the job does it."""
            del python
            return []

        def adopt(self, process: Started) -> None:
            """Join the job, then let the program run."""
            handle = process._handle  # type: ignore[attr-defined] # noqa: SLF001 - Popen's, there is no public name
            self._pid = process.pid
            _kernel.AssignProcessToJobObject(self._job, int(handle))
            _native.NtResumeProcess(int(handle))

        def wait_without_reaping(self, process: Started) -> None:
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

        def close(self) -> None:
            """Close the job."""
            job, self._job, self._pid = self._job, None, None
            if job is not None:
                _kernel.CloseHandle(job)

    def open_group() -> ProcessGroup:
        """Return an empty group for one program."""
        return WindowsJob()

    def inherit_pipe(file_descriptor: int) -> int:
        """Let a child inherit the pipe; return the number by which it knows it."""
        handle = msvcrt.get_osfhandle(file_descriptor)
        os.set_handle_inheritable(handle, True)  # noqa: FBT003 - the function's only form
        return handle

else:

    class PosixGroup:
        """A session of its own."""

        def __init__(self) -> None:
            """Start empty."""
            self._pid: int | None = None

        def popen_options(self) -> dict[str, Any]:
            """Return the arguments for ``Popen`` that make the session."""
            return {"start_new_session": True}

        def launcher(self, python: str) -> list[str]:
            """Return the launcher that asks for a signal at our death; other systems than Linux have none."""
            if not sys.platform.startswith("linux") or not python:
                return []
            return [python, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]

        def adopt(self, process: Started) -> None:
            """Remember the leader."""
            self._pid = process.pid

        def wait_without_reaping(self, process: Started) -> None:
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

        def close(self) -> None:
            """Forget the group: once reaped, its number may become another's."""
            self._pid = None

        def _signal(self, number: signal.Signals) -> None:
            if self._pid is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, number)

    def open_group() -> ProcessGroup:
        """Return an empty group for one program."""
        return PosixGroup()

    def inherit_pipe(file_descriptor: int) -> int:
        """Let a child inherit the pipe; return the number by which it knows it."""
        os.set_inheritable(file_descriptor, True)  # noqa: FBT003 - the function's only form
        return file_descriptor
