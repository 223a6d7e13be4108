"""Programs are started in groups of their own and are gone afterwards."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.engines.process.run import Completed, ProgramTimeoutError, run_program, start_program
from provisioner.errors import InternalError

PYTHON = sys.executable


def run(script: str, cwd: Path, **options: object) -> Completed:
    arguments: dict[str, object] = {"env": {}, "cwd": cwd, "timeout_s": 20.0} | options
    return run_program([PYTHON, "-I", "-c", textwrap.dedent(script)], **arguments)  # type: ignore[arg-type] # passed on


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> bool:
    for _ in range(50):
        if not alive(pid):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def pid_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pid"
    yield path
    if path.exists() and alive(int(path.read_text(encoding="utf-8"))):
        os.kill(int(path.read_text(encoding="utf-8")), 9)


def test_output_and_exit_code_come_back(tmp_path: Path) -> None:
    """Both outputs and the program's own exit code are returned."""
    done = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)", tmp_path)
    assert (done.exit_code, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_only_the_given_environment_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of ours does not reach the program, one that is given does."""
    monkeypatch.setenv("LEAKED", "1")
    done = run("import os; print(sorted(os.environ))", tmp_path, env={"GIVEN": "$(touch x)"})
    assert "LEAKED" not in done.stdout
    assert "GIVEN" in done.stdout
    assert not (tmp_path / "x").exists()


def read_lines(script: str, cwd: Path, *, with_channel: bool = False) -> list[tuple[str, bytes]]:
    """Run a script to its end and return what it wrote, each line with its source."""
    argv = [PYTHON, "-I", "-c", textwrap.dedent(script)]
    with start_program(argv, env={}, cwd=cwd, with_channel=with_channel) as child:
        return list(child.lines(time.monotonic() + 20.0))


def test_lines_are_told_as_they_come(tmp_path: Path) -> None:
    """Every line of output reaches the caller, in order."""
    assert read_lines("print('one'); print('two')", tmp_path) == [("stdout", b"one\n"), ("stdout", b"two\n")]


def test_standard_input_is_given_and_closed(tmp_path: Path) -> None:
    """A program that reads its input to the end gets all of it and goes on."""
    data = b"x" * 1_000_000
    assert run("import sys; print(len(sys.stdin.buffer.read()))", tmp_path, stdin=data).stdout == "1000000\n"


def test_records_come_over_a_pipe_of_their_own(tmp_path: Path) -> None:
    """What is printed is not taken for a record, and a record is not printed."""
    script = """
        import os
        print("fake")
        with open(int(os.environ["PROVISION_CHANNEL"]), "wb") as channel:
            channel.write(b"one\\n" + b"x" * 300_000 + b"\\n")
    """
    found = read_lines(script, tmp_path, with_channel=True)
    assert sorted(found) == [
        ("channel", b"one\n"),
        ("channel", b"x" * 300_000 + b"\n"),
        ("stdout", b"fake\n"),
    ]


def test_endless_output_is_capped(tmp_path: Path) -> None:
    """Of 50 MB of output the head and the tail remain, with a count of what is left out."""
    done = run("import sys\nfor i in range(500_000): print(i, '.' * 100)", tmp_path)
    assert done.stdout.startswith("0 .")
    assert done.stdout.rstrip().endswith("." * 100)
    assert "bytes left out" in done.stdout
    assert len(done.stdout) < 1_200_000


def test_a_missing_program_is_the_callers_error(tmp_path: Path) -> None:
    """A program that does not exist raises instead of looking like one that failed."""
    with pytest.raises(FileNotFoundError):
        run_program([tmp_path / "nothing"], env={}, cwd=tmp_path, timeout_s=5)


def test_a_hanging_program_is_killed_with_its_children(tmp_path: Path, pid_file: Path) -> None:
    """After the deadline the group is gone, also a grandchild, and what was printed is kept."""
    script = f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(pid_file)!r}, "w").write(str(child.pid))
        print("before", flush=True)
        time.sleep(60)
    """
    started = time.monotonic()
    with pytest.raises(ProgramTimeoutError) as caught:
        run(script, tmp_path, timeout_s=1.5)
    assert time.monotonic() - started < 6
    assert caught.value.stdout == "before\n"
    assert wait_until_gone(int(pid_file.read_text(encoding="utf-8")))


def test_a_program_that_ignores_termination_is_killed(tmp_path: Path) -> None:
    """Ignoring SIGTERM wins less than a second."""
    started = time.monotonic()
    with pytest.raises(ProgramTimeoutError):
        run(
            "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)",
            tmp_path,
            timeout_s=0.5,
        )
    assert time.monotonic() - started < 2.5


def test_a_program_does_not_inherit_that_we_ignore_signals(tmp_path: Path) -> None:
    """While we are stopping we ignore SIGTERM; what another thread starts then ends when it is asked to."""
    script = "import time; print('up', flush=True); time.sleep(60)"
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with start_program([PYTHON, "-I", "-c", script], env={}, cwd=tmp_path) as child:
            next(child.lines(time.monotonic() + 20.0))
            child.stop()
        assert child.exit_code == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_stopped_program_is_killed(tmp_path: Path) -> None:
    """A program that is stopped, and so cannot handle a signal, ends too."""
    started = time.monotonic()
    with pytest.raises(ProgramTimeoutError):
        run("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", tmp_path, timeout_s=0.5)
    assert time.monotonic() - started < 7


def test_a_grandchild_that_holds_the_output_is_not_waited_for(tmp_path: Path, pid_file: Path) -> None:
    """The program's own end counts; what it left behind is killed."""
    started = time.monotonic()
    done = run(
        f"""
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(pid_file)!r}, "w").write(str(child.pid))
        print("done")
        """,
        tmp_path,
    )
    assert done == Completed(exit_code=0, stdout="done\n", stderr="")
    assert time.monotonic() - started < 5
    assert wait_until_gone(int(pid_file.read_text(encoding="utf-8")))


def test_a_grandchild_is_gone_when_the_call_returns(tmp_path: Path, pid_file: Path) -> None:
    """Also one that the kernel takes long to clear away: whoever looks after our exit finds nothing."""
    run(
        f"""
        import subprocess, sys
        held = "import sys, time; held = b'x' * 300_000_000; print(flush=True); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", held], stdout=subprocess.PIPE)
        child.stdout.readline()
        open({str(pid_file)!r}, "w").write(str(child.pid))
        """,
        tmp_path,
    )
    assert not alive(int(pid_file.read_text(encoding="utf-8")))


def test_a_signal_is_a_negative_exit_code(tmp_path: Path) -> None:
    """A crash is told from an exit."""
    assert (
        run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", tmp_path).exit_code == -signal.SIGSEGV
    )


def test_an_interrupt_of_ours_leaves_nothing_behind(tmp_path: Path) -> None:
    """An exception in the caller's block ends the program before it goes on."""
    pid = 0

    def interrupted() -> None:
        nonlocal pid
        with start_program([PYTHON, "-c", "import time; time.sleep(60)"], env={}, cwd=tmp_path) as child:
            pid = child.pid
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert wait_until_gone(pid)


def test_another_thread_can_end_a_program(tmp_path: Path) -> None:
    """Whoever sets the event ends the program at once, and the caller is told so."""
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    with pytest.raises(InternalError, match="was stopped"):
        run("import time; time.sleep(60)", tmp_path, stop=stop)
    assert time.monotonic() - started < 3


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_the_program_dies_with_us(tmp_path: Path, pid_file: Path) -> None:
    """Killing the parent, even by SIGKILL, ends the program."""
    script = f"""
        import sys
        from pathlib import Path
        from provisioner.engines.process.run import run_program
        inner = "import os,time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
        run_program([sys.executable, "-c", inner], env={{}}, cwd=Path({str(tmp_path)!r}), timeout_s=60)
    """
    parent = subprocess.Popen([PYTHON, "-c", textwrap.dedent(script)])
    for _ in range(100):
        if pid_file.exists() and pid_file.read_text(encoding="utf-8"):
            break
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    assert wait_until_gone(int(pid_file.read_text(encoding="utf-8")))
