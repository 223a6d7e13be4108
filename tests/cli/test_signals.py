"""Signals: the contract's code, one document, no child left, nothing half-made called ready."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import ExitCode
from tests.cli.lab import Lab

if sys.platform == "win32":
    pytest.skip("Windows has no such signals and no /proc", allow_module_level=True)

# A signal that comes in a destructor, and one that Python wraps in another error.
LOST = """
import signal, time
from provisioner.cli.signals import SignalledError, watch_signals

class Callback:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

watch_signals()
try:
    Callback()
    time.sleep(30)
except SignalledError as stop:
    print(*stop.args)
"""
WRAPPED = """
import signal
from provisioner.cli import create
from provisioner.__main__ import main

class Descriptor:
    def __set_name__(self, owner, name):
        signal.raise_signal(signal.SIGTERM)

create.command.callback = lambda **_: type("Owner", (), {"field": Descriptor()})
main()
"""
SLEEPER = {"torch.py": "import time\ntime.sleep(600)\n"}
CODES = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HANGUP,
}


def wait_for(what: Callable[[], bool], *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def processes_of(lab: Lab) -> list[str]:
    """Return the command lines of all processes that name the lab's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(lab.data) in line:
            found.append(line)
    return found


def start_download(lab: Lab, **options: Any) -> subprocess.Popen[bytes]:
    """Start a build whose first download does not end."""
    lab.lock_tiny()
    lab.server.delay_s = 60.0
    asked = len(lab.server.requests)
    process = lab.start("create", "tiny", "--no-validate", "--json", **options)
    wait_for(lambda: len(lab.server.requests) > asked)
    return process


@pytest.mark.parametrize("number", list(CODES))
def test_a_signal_ends_a_download(number: signal.Signals, lab: Lab) -> None:
    """A build that is stopped leaves no environment; the same command works afterwards."""
    with start_download(lab) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    lab.server.delay_s = 0.0
    assert process.returncode == CODES[number]
    document = json.loads(out)
    assert document["exit_code"] == process.returncode
    assert document["errors"][0]["code"].startswith("signal.")
    assert document["errors"][0]["hints"] == [
        "run the same command again: what was fetched and built is kept, a validation begins anew"
    ]
    assert b"Traceback" not in err
    assert lab.run("list", "--json").data["environments"] == []
    assert lab.run("create", "tiny", "--no-validate").code == 0


@pytest.mark.parametrize("number", list(CODES))
def test_a_signal_ends_the_children(number: signal.Signals, lab: Lab) -> None:
    """A validation that is stopped takes its child along and proves nothing, however often it is asked."""
    lab.lock_tiny(torch=SLEEPER)
    lab.build_tiny()
    with lab.start("validate", "tiny", "--json") as process:
        wait_for(lambda: bool(processes_of(lab)))
        time.sleep(0.3)
        for _ in range(3):
            process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == CODES[number]
    wait_for(lambda: not processes_of(lab), seconds=5)
    (row,) = lab.run("list", "--json").data["environments"]
    assert row["verdict"] == "unvalidated"


def test_a_second_signal_does_not_break_the_clean_up(lab: Lab) -> None:
    """Whoever presses Ctrl-C twice gets the same end."""
    with start_download(lab) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode in {ExitCode.INTERRUPTED, ExitCode.TERMINATED}
    lab.server.delay_s = 0.0
    assert lab.run("list", "--json").data["environments"] == []


def test_nohup_is_kept(lab: Lab) -> None:
    """A hang-up that the shell has us ignore does not end the run."""

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with start_download(lab, preexec_fn=ignore) as process:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == ExitCode.TERMINATED


def test_a_killed_run_leaves_nothing_in_use(lab: Lab) -> None:
    """Even after SIGKILL there is no environment and no lock that stays; the next run builds."""
    with start_download(lab) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)
    lab.server.delay_s = 0.0
    assert lab.run("list", "--json").data["environments"] == []
    assert lab.run("create", "tiny", "--no-validate", "--lock-timeout", "5").code == 0


def test_a_signal_that_python_throws_away_comes_again() -> None:
    """What is raised in a destructor, or in a callback of an import, goes nowhere; the stop does not."""
    done = subprocess.run([sys.executable, "-c", LOST], check=False, capture_output=True, timeout=20)
    assert (done.stdout, done.stderr) == (b"SIGTERM\n", b"")


def test_a_signal_that_python_wraps_is_a_stop() -> None:
    """The answer is the signal's, not that of our bug."""
    done = subprocess.run(
        [sys.executable, "-c", WRAPPED, "create", "tiny"], check=False, capture_output=True, timeout=20
    )
    assert (done.returncode, done.stdout) == (ExitCode.TERMINATED, b"")
    assert b"stopped by SIGTERM" in done.stderr
