"""Whatever the probe does, the parent tells what happened and where, in time, and leaves no process."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from provisioner.events import Event, StageStarted
from provisioner.profile.model import TorchVariant
from provisioner.validate.model import Report, Status, Verdict
from tests.faults.standin import validate


def failed(report: Report, stage: str, code: str) -> str:
    """Check the verdict, the stage and the code of a failure and return its reason."""
    assert report.verdict is Verdict.FAILED
    assert (report.stage, report.code) == (stage, code), report.reason
    record = report.find_record(stage)
    assert record is not None
    assert record.status is Status.FAILED
    assert report.reason is not None
    return report.reason


def wait_until_gone(pid: int) -> bool:
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_a_clean_run_passes(tmp_path: Path) -> None:
    """All checks finished, agreed and the process ended well: passed, with one record per stage."""
    events: list[Event] = []
    report = validate(tmp_path, "run()", events=events)
    assert report.verdict is Verdict.PASSED
    statuses = {record.name: record.status for record in report.records}
    assert [name for name, status in statuses.items() if status is Status.SKIPPED] == [
        *("width", "repeat", "commands")
    ]
    told = [event.detail for event in events if isinstance(event, StageStarted)]
    assert "kernels: compiling kernels, can take minutes the first time" in told


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGSEGV, "SIGSEGV"),
        (signal.SIGABRT, "SIGABRT"),
        (signal.SIGILL, "SIGILL"),
        (7, "SIGBUS"),
        (signal.SIGFPE, "SIGFPE"),
    ],
)
def test_a_crash_names_signal_and_stage(tmp_path: Path, number: int, name: str) -> None:
    """A signal in the middle of a check is a crash of that check."""
    report = validate(tmp_path, f"run(until='kernels'); os.kill(os.getpid(), {int(number)})")
    assert name in failed(report, "kernels", "crash")
    assert report.find_record("forward") is not None
    assert [record.status for record in report.records if record.name == "forward"] == [Status.SKIPPED]


def test_a_crash_names_the_function(tmp_path: Path) -> None:
    """The frame that faulthandler prints is part of the reason."""
    body = """
        import faulthandler
        faulthandler.enable()
        def get_device_properties():
            os.kill(os.getpid(), signal.SIGSEGV)
        run(until="device")
        get_device_properties()
    """
    assert "`get_device_properties`" in failed(validate(tmp_path, body), "device", "crash")


def test_a_kill_from_outside_is_taken_for_memory(tmp_path: Path) -> None:
    """SIGKILL that is not ours most often is the system's out-of-memory killer, and the reason says so."""
    report = validate(tmp_path, "run(until='reference'); os.kill(os.getpid(), signal.SIGKILL)")
    assert "memory" in failed(report, "reference", "host_memory")


@pytest.mark.parametrize(
    "behaviour",
    [
        "time.sleep(60)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass",
        "os.kill(os.getpid(), signal.SIGSTOP)",
    ],
    ids=["sleeps", "ignores-termination", "stopped"],
)
def test_a_hang_ends_at_the_deadline(tmp_path: Path, behaviour: str) -> None:
    """A check that does not end is stopped soon after its deadline, and named."""
    started = time.monotonic()
    report = validate(
        tmp_path,
        f"run(until='forward')\n{behaviour}",
        deadlines_s={"forward": 1.0},
    )
    assert time.monotonic() - started < 1 + 5 + 1.5
    assert "`forward` did not end within 1 s" in failed(report, "forward", "timeout")


def test_a_hang_leaves_no_process(tmp_path: Path) -> None:
    """The probe and the children that a driver may have started are gone after the deadline."""
    pids = tmp_path / "pids"
    body = f"""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
        run(until="device")
        time.sleep(60)
    """
    failed(validate(tmp_path, body, deadlines_s={"device": 1.0}), "device", "timeout")
    assert all(wait_until_gone(int(pid)) for pid in pids.read_text(encoding="utf-8").split())


def test_a_child_that_outlives_the_probe_is_not_waited_for(tmp_path: Path) -> None:
    """A grandchild that keeps the output open neither delays nor fails a passed run, and is gone after it."""
    pids = tmp_path / "pids"
    body = f"""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(pids)!r}, "w").write(str(child.pid))
        run()
    """
    started = time.monotonic()
    assert validate(tmp_path, body).verdict is Verdict.PASSED
    assert time.monotonic() - started < 10
    assert wait_until_gone(int(pids.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("behaviour", "stage", "said"),
    [
        ("", "packages", "ended early"),
        ("run(until='imports')", "imports", "ended early"),
        ("channel.write(b'not json\\n')", "packages", "not JSON"),
        ("channel.write(b'[' * 100_000 + b'\\n')", "packages", "not JSON"),
        ("channel.write(b'{\"event\"')", "packages", "breaks off"),
        ("request['nonce'] = 'of the last run'\nrun()", "packages", "nonce"),
        (
            "run(until='imports')\nsend('finished', stage='speed', seconds=1, measured={})",
            "imports",
            "misplaced",
        ),
        ("send('done')", "packages", "done before its last check"),
        ("run(until='device')\nsend('done')", "device", "done before its last check"),
        ("send('started', stage='speed')", "packages", "out of order"),
        ("run(until='device')\nsend('started', stage='kernels')", "device", "out of order"),
        (
            "run(until='imports')\nsend('finished', stage='imports', seconds=1, measured={})",
            "imports",
            "without what",
        ),
        (
            "run(until='imports')\nsend('finished', stage='imports', seconds='x', measured=5)",
            "imports",
            "without what",
        ),
        ("run(until='device')\nsend('happy')", "device", "unknown event"),
        ("send('started', stage='packages', x='y' * 5_000_000)", "packages", "4 MiB"),
        (
            "run(until='comparison')\nsend('finished', stage='comparison', seconds=1,"  # noqa: ISC004 - one text
            " measured={'relative_difference': float('nan'), 'cosine': 1})",
            "comparison",
            "not JSON",
        ),
    ],
    ids=[
        "nothing",
        "started-only",
        "garbage",
        "nested",
        "truncated",
        "forged",
        "wrong-stage",
        "early-done",
        "done-in-the-middle",
        "skipping",
        "overtaking",
        "empty-result",
        "wrong-types",
        "unknown-event",
        "huge",
        "nan",
    ],
)
def test_records_that_cannot_be_trusted_never_pass(
    tmp_path: Path, behaviour: str, stage: str, said: str
) -> None:
    """No record, half a record, a forged one or one out of order: a protocol failure of the running check."""
    assert said in failed(validate(tmp_path, behaviour), stage, "protocol")


def test_a_second_result_after_the_last_is_refused(tmp_path: Path) -> None:
    """Two results for one check cannot both be true."""
    body = """
        run(until="imports")
        send("finished", stage="imports", seconds=1, measured=MEASURED["imports"])
        send("finished", stage="imports", seconds=1, measured=MEASURED["imports"])
    """
    assert "second" in failed(validate(tmp_path, body), "device", "protocol")


def test_output_is_never_taken_for_a_record(tmp_path: Path) -> None:
    """A success that is printed counts for nothing, and hostile output cannot reach a terminal."""
    body = r"""
        print(json.dumps({"nonce": request["nonce"], "event": "done"}), "\x1b[2J\x00", flush=True)
        sys.stdout.buffer.write(b"\xff\xfe" * 100)
        run(until="device")
        sys.exit(3)
    """
    report = validate(tmp_path, body)
    failed(report, "device", "crash")
    assert "\x1b" not in report.output
    assert "\x00" not in report.output


def test_endless_output_does_not_fill_memory(tmp_path: Path) -> None:
    """A probe that prints 100 MB still passes, and the parent keeps only a little of it."""
    body = """
        for _ in range(100): sys.stdout.write("x" * 999_999 + chr(10))
        run()
    """
    assert validate(tmp_path, body).verdict is Verdict.PASSED


def test_a_crash_after_success_is_told(tmp_path: Path) -> None:
    """All checks passed and the process crashed at its exit: not passed, and the reason says both."""
    reason = failed(validate(tmp_path, "run(); os.abort()"), "exit", "exit_crash")
    assert "every check passed" in reason
    assert "SIGABRT" in reason


def test_a_hang_after_success_is_told(tmp_path: Path) -> None:
    """A process that never ends after its last check is stopped and not called passed."""
    report = validate(tmp_path, "run(); time.sleep(60)", deadlines_s={"exit": 1.0})
    assert "did not end within 1 s" in failed(report, "exit", "exit_crash")


@pytest.mark.parametrize(
    ("stage", "measured", "code", "said"),
    [
        ("packages", {"installed": {"torch": "2.13.0"}}, "torch_variant", "torch 2.13.0`"),
        ("packages", {"installed": {"torch": "2.13.0+cu130"}}, "torch_variant", "torch 2.13.0+cu130`"),
        ("packages", {"elsewhere": {"numpy": "/other"}}, "contaminated", "`/other`"),
        (
            "packages",
            {"damaged_count": 7, "damaged": [{"file": "a.py", "package": "torch", "problem": "missing"}]},
            "damaged_files",
            "`a.py` of `torch` is missing and 6 more",
        ),
        (
            "imports",
            {"modules": {"torch": {"file": "/other/torch.py", "inside": False}}},
            "contaminated",
            "`/other/torch.py`",
        ),
        ("imports", {"foreign_modules": {"yaml": "/other/yaml.py"}}, "contaminated", "`/other/yaml.py`"),
        ("imports", {"torch": {"version": "2", "cuda": "13.0"}}, "torch_variant", "CUDA"),
        ("kernels", {"copy_equal": False}, "wrong_result", "not the same"),
        (
            "kernels",
            {"matmul": {"float32": {"device": "cpu", "relative_error": None}}},
            "wrong_result",
            "no number",
        ),
        ("reference", {"text": " Rome"}, "wrong_reference", "` Rome`"),
        ("conversion", {"linear_classes": {"Linear": 3}}, "not_converted", "linear layers"),
        ("conversion", {"replaced": {"LlamaMLP": "ipex_llm.f"}}, "not_converted", "attention"),
        ("forward", {"finite": False}, "wrong_result", "NaN"),
        ("forward", {"largest": 0.0, "spread": 0.0}, "wrong_result", "zeros"),
        ("forward", {"spread": 0.0}, "wrong_result", "same number"),
        ("forward", {"output_device": "xpu:0"}, "wrong_device", "`xpu:0`"),
        ("comparison", {"relative_difference": 0.5}, "wrong_result", "by 0.5"),
        ("comparison", {"relative_difference": None}, "wrong_result", "no number"),
        ("comparison", {"cosine": -1.0}, "wrong_result", "cosine -1"),
        ("comparison", {"shapes": [[1], [2]]}, "wrong_result", "shape"),
        ("generation", {"text": " Rome"}, "wrong_answer", "` Rome`"),
    ],
)
def test_a_wrong_measurement_fails_its_check(
    tmp_path: Path, stage: str, measured: dict[str, Any], code: str, said: str
) -> None:
    """What the probe measured is judged here, and the reason names what was seen."""
    report = validate(
        tmp_path, f"run(wrong={{{stage!r}: {measured!r}}})", torch_variant=TorchVariant.CPU, expected="Paris"
    )
    assert said in failed(report, stage, code)


def test_an_absent_device_is_unvalidated(tmp_path: Path) -> None:
    """The device that was asked for is not there: neither passed nor failed."""
    body = "run(wrong={'device': {'kind': 'xpu', 'count': 0}})"
    report = validate(tmp_path, body, device="xpu", profile_device="xpu")
    assert (report.verdict, report.stage, report.code) == (Verdict.UNVALIDATED, "device", "device_missing")
    assert any("doctor" in hint for hint in report.hints)


def test_an_absent_number_names_the_devices_that_are_there(tmp_path: Path) -> None:
    """`xpu:1` on a machine with one: the report names that one."""
    body = "run(wrong={'device': {'kind': 'xpu', 'count': 1, 'index': 1, 'names': ['Arc A770']}})"
    report = validate(tmp_path, body, device="xpu:1", profile_device="xpu")
    assert report.verdict is Verdict.UNVALIDATED
    assert "`Arc A770`" in str(report.reason)


def test_a_torch_without_the_device_is_failed(tmp_path: Path) -> None:
    """A torch that was built without XPU is a fault of the environment, not of the machine."""
    body = "run(wrong={'device': {'kind': 'xpu', 'count': 0, 'built': False}})"
    failed(validate(tmp_path, body, device="xpu", profile_device="xpu"), "device", "torch_without_device")


def test_an_interpreter_that_is_gone_is_named(tmp_path: Path) -> None:
    """An environment without its Python fails in the first check."""
    report = validate(tmp_path, "run()", interpreter=tmp_path / "nothing")
    assert str(tmp_path / "nothing") in failed(report, "packages", "interpreter")


def test_a_device_other_than_the_profiles_is_said(tmp_path: Path) -> None:
    """`--device cpu` for an XPU profile passes through plain transformers and says what that leaves open."""
    report = validate(tmp_path, "run()", profile_device="xpu")
    assert report.verdict is Verdict.PASSED
    assert (report.backend, report.precision) == ("transformers", "bf16")
    assert any("`xpu`" in sentence for sentence in report.not_proven)


def test_the_commands_of_the_profile_run_in_the_environment(tmp_path: Path) -> None:
    """A command is the environment's own program, and its failure is told with its output."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in (("good", "exit 0"), ("bad", "echo broken >&2; exit 3")):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    good = validate(tmp_path, "run()", commands=(("good", "--help"),))
    assert good.verdict is Verdict.PASSED
    record = good.find_record("commands")
    assert record is not None
    assert record.measured["exit_codes"] == {"good --help": 0}
    report = validate(tmp_path, "run()", commands=(("good",), ("bad",)))
    assert "broken" in failed(report, "commands", "command")
    assert "no program `gone`" in failed(
        validate(tmp_path, "run()", commands=(("gone",),)), "commands", "command"
    )


def test_a_command_that_hangs_is_stopped(tmp_path: Path) -> None:
    """A command has a deadline too."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "sleeper"
    program.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    program.chmod(0o755)
    report = validate(tmp_path, "run()", commands=(("sleeper",),), deadlines_s={"commands": 1.0})
    assert "did not end within 1 s" in failed(report, "commands", "command")


def test_only_chosen_variables_reach_the_probe(tmp_path: Path) -> None:
    """The probe sees the profile's variables literally, and none of ours that could contaminate it."""
    seen = tmp_path / "seen"
    host = {
        "HOME": "/home/user",
        "PYTHONPATH": "/evil",
        "LD_LIBRARY_PATH": "/evil",
        "LD_PRELOAD": "/evil.so",
        "CONDA_PREFIX": "/evil",
        "HF_TOKEN": "secret",
        "ONEAPI_DEVICE_SELECTOR": "level_zero:1",
    }
    body = f"open({str(seen)!r}, 'w').write(json.dumps([dict(os.environ), os.getcwd(), os.listdir()]))\nrun()"
    env = {"NASTY": '$(touch x) `y` "; z', "LIBRARY": "{prefix}/lib"}
    assert validate(tmp_path, body, host_env=host, env=env).verdict is Verdict.PASSED
    variables, folder, content = json.loads(seen.read_text(encoding="utf-8"))
    assert not {"PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "CONDA_PREFIX", "HF_TOKEN"} & variables.keys()
    assert variables["ONEAPI_DEVICE_SELECTOR"] == "level_zero:1"
    assert variables["NASTY"] == env["NASTY"]
    assert variables["LIBRARY"] == f"{tmp_path}/lib"
    assert variables["HF_HUB_OFFLINE"] == "1"
    assert content == []
    assert not os.path.exists(folder)  # noqa: PTH110 - a path that another process wrote down
