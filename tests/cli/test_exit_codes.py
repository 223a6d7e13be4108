"""Every exit code of the contract, reached by what really leads to it; each failure changes nothing.

One file, to be read beside the contract's table of codes.
"""

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from provisioner.errors import ExitCode
from tests.cli.lab import COMMAND, Lab, Outcome, check_sentence

HOLD = """
import fcntl, sys, time
held = open(sys.argv[1], "w")
fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_ok(built: Lab) -> None:
    """0: there was nothing to do, and nothing was touched."""
    before = built.tree()
    shown = built.run("create", "tiny", "--no-validate", "--json")
    assert shown.code == ExitCode.OK
    assert shown.data["generation"] == 1
    assert built.tree() == before


def test_internal(built: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """1: our bug is one sentence, one document and a report that is named and holds no secret."""

    def fail(*_: object) -> None:
        raise RuntimeError("cannot ask https://ada:CANARY@127.0.0.1/simple")

    monkeypatch.setattr("provisioner.cli.show.as_dict", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    shown = built.run("show", "tiny", "--json")
    assert shown.code == ExitCode.INTERNAL
    assert shown.error["code"] == "internal.crash"
    report = Path(shown.error["context"]["report"]).read_text(encoding="utf-8")
    assert "Traceback" in report
    assert "RuntimeError" in report
    assert "CANARY" not in report + shown.out + shown.err


def test_internal_without_a_folder_for_the_report(
    built: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """1: a crash whose report cannot be written is still told."""

    def fail(*_: object) -> None:
        raise RuntimeError("at a bad time")

    monkeypatch.setattr("provisioner.cli.show.as_dict", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert built.run("show", "tiny", "--json").error["context"] == {"report": None}


def test_usage_tells_every_mistake_with_its_place(lab: Lab) -> None:
    """2: five mistakes in a profile are five errors, each with file, line and column."""
    path = lab.envs / "bad.yaml"
    path.write_text(
        "description: Five mistakes\n"
        "family: Llama 3\n"
        "device: cpu\n"
        "torch: cpu\n"
        "python: 3.10\n"
        "pip:\n"
        "  packages: [tinyapp, tinyapp==]\n"
        "  routes: {torch: nowhere}\n"
        "tourch: cpu\n",
        encoding="utf-8",
    )
    shown = lab.run("lock", "bad", "--json")
    assert shown.code == ExitCode.USAGE
    assert len(shown.document["errors"]) == 5
    for error in shown.document["errors"]:
        assert re.match(r"envs/bad\.yaml:\d+:\d+: ", error["message"])
        assert {"file", "line", "column"} <= set(error["context"])
    assert shown.err.count("error: envs/bad.yaml:") == 5


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", "nothing"), "profile.not_found"),
        (("show", "../tiny"), "profile.bad_name"),
        (("validate", "nothing"), "usage.no_environment"),
        (("remove", "nothing"), "usage.no_environment"),
        (("repair", "nothing"), "usage.no_environment"),
        (("run", "nothing", "--", "python"), "usage.no_environment"),
        (("activate", "nothing"), "usage.no_environment"),
        (("remove", "../../etc"), "usage.environment_name"),
        (("lock",), "usage.lock_what"),
        (("lock", "tiny", "--update", "nosuchpkg"), "usage.lock_update"),
        (("lock", "tiny", "--all"), "usage.lock_what"),
        (("lock", "tiny", "--check", "--upgrade"), "usage.lock_check"),
        (("lock", "tiny", "--check", "--update", "torch"), "usage.lock_check"),
        (("list", "--envs", "missing"), "usage.no_folder"),
        (("list", "--config", "missing.yaml"), "usage.no_config"),
        (("list", "--mirrors", "missing.yaml"), "usage.no_mirrors"),
        (("export", "tiny", "--format", "bogus"), "usage.command_line"),
        (("export", "tiny"), "usage.command_line"),
        (("create",), "usage.no_name"),
        (("create", "tiny", "--lock-timeout", "soon"), "usage.command_line"),
        (("create", "tiny", "--lock-timeout=-1"), "usage.command_line"),
        (("create", "tiny", "--name", "a/b"), "usage.environment_name"),
        (("explain", "missing.log"), "usage.no_log"),
        (("explain", "nothing"), "usage.no_log"),
        (("doctor", "nothing"), "profile.not_found"),
        (("doctor", "--layer", "bogus"), "doctor.unknown_layer"),
        (("doctor", "--from", "missing.json"), "doctor.bad_facts"),
        (("doctor", "--save", "missing/facts.json"), "usage.output"),
        (("diff", "HEAD:missing", "tiny"), "usage.revision"),
    ],
)
def test_usage(arguments: tuple[str, ...], code: str, tiny: Lab) -> None:
    """2: a wrong command line is told in one sentence, with what to do, and leaves no trace."""
    shown = tiny.run(*arguments[:1], "--json", *arguments[1:])
    assert (shown.code, shown.error["code"]) == (ExitCode.USAGE, code)
    assert not tiny.data.exists()
    for line in shown.err.splitlines():
        word, _, sentence = line.partition(": ")
        assert word in {"error", "hint"}
        check_sentence(sentence)


def test_usage_of_configuration_names_the_place(lab: Lab) -> None:
    """2: mistakes in `provision.yaml` have file, line and column, too."""
    lab.root.joinpath("provision.yaml").write_text("mirors: {}\nenvs: [a]\n", encoding="utf-8")
    shown = lab.run("list", "--json")
    assert shown.code == ExitCode.USAGE
    assert [error["code"].partition(".")[0] for error in shown.document["errors"]] == ["config", "config"]
    assert shown.error["message"].startswith("provision.yaml:1:1: ")


def test_resolve(lab: Lab) -> None:
    """3: a request that nothing answers is told under a sentence of ours; no lockfile is written."""
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.offer("tinyapp", "1.0")
    lab.write_profile(changes={"- tinyapp": "- tinyapp==9"})
    shown = lab.run("lock", "tiny", "--json")
    assert shown.code == ExitCode.RESOLVE
    assert "tinyapp" in shown.error["message"]
    assert not lab.lockfile.exists()


def test_lock_missing(tiny: Lab) -> None:
    """4: there is no lockfile."""
    tiny.lockfile.unlink()
    for arguments in (
        ("create", "tiny"),
        ("lock", "--check", "tiny"),
        ("export", "tiny", "--format", "pylock"),
    ):
        shown = tiny.run(*arguments, "--json")
        assert (shown.code, shown.error["code"]) == (ExitCode.LOCK, "lock.missing")
    assert not tiny.data.exists()


def test_lock_stale(tiny: Lab) -> None:
    """4: the profile has changed; the key and its place are named."""
    tiny.write_profile(changes={"- tinyapp": "- tinyapp==1.0"})
    for arguments, hint in (
        (("create", "tiny"), "run `provision create tiny --lock`, which locks it first"),
        (("lock", "--check", "tiny"), "run `provision lock tiny`"),
    ):
        shown = tiny.run(*arguments, "--json")
        assert (shown.code, shown.error["code"]) == (ExitCode.LOCK, "lock.stale")
        assert "linux-64 pip: `tinyapp` moved to `tinyapp==1.0` (envs/tiny.yaml:12)" in shown.error[
            "message"
        ] or ("`tinyapp`" in shown.error["message"] and "envs/tiny.yaml:12" in shown.error["message"])
        assert shown.error["hints"] == [hint]
    assert not tiny.data.exists()


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_lock_damaged(cut: float, tiny: Lab) -> None:
    """4: a lockfile that was cut is not half believed."""
    text = tiny.lockfile.read_text(encoding="utf-8")
    tiny.lockfile.write_text(text[: int(len(text) * cut)], encoding="utf-8")
    shown = tiny.run("create", "tiny", "--json")
    assert (shown.code, shown.error["code"]) == (ExitCode.LOCK, "lock.damaged")
    assert not tiny.data.exists()


def test_lock_of_another_platform(lab: Lab) -> None:
    """4: the lockfile has no part for this machine."""
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.offer("tinyapp", "1.0")
    lab.write_profile(changes={"[linux-64]": "[win-64]"})
    assert lab.run("lock", "tiny").code == 0
    shown = lab.run("create", "tiny", "--json")
    assert (shown.code, shown.error["code"]) == (ExitCode.LOCK, "lock.platform")


def test_install_of_a_changed_file(lab: Lab) -> None:
    """5: a file with another digest is refused, nothing is installed, and the old environment works."""
    filename = lab.offer("tinyapp", "2.0")
    lab.lock_tiny(changes={"- tinyapp": "- tinyapp==1.0"})
    prefix = lab.build_tiny()
    lab.write_profile(changes={"- tinyapp": "- tinyapp==2.0"})
    assert lab.run("lock", "tiny").code == 0
    lab.server.files[f"files/{filename}"] += b" and more"
    shown = lab.run("create", "tiny", "--no-validate", "--json")
    assert (shown.code, shown.error["code"]) == (ExitCode.INSTALL, "install.hash_mismatch")
    assert filename in shown.error["message"]
    (row,) = lab.run("list", "--json").data["environments"]
    assert row["prefix"] == str(prefix)
    assert [path.name for path in prefix.parent.iterdir()] == [prefix.name]
    ran = lab.spawn("run", "tiny", "--", "python", "-c", "import tinyapp; print(tinyapp.VERSION)")
    assert (ran.code, ran.out) == (0, "1.0\n")


_VERBS = (
    ("create", "tiny", "--no-validate"),
    ("create", "tiny", "--dry-run"),
    ("lock", "tiny", "--upgrade"),
    ("add", "tiny", "tinyapp"),
    ("list",),
    ("clean",),
    ("remove", "tiny"),
    ("bundle", "tiny", "-o", "b.zip", "--no-tool"),
)


def _find_words_without_rights() -> tuple[str, ...] | None:
    """Return what to put before a command so that permissions hold for it; None where nothing does that."""
    if sys.platform == "win32":
        return None
    if os.geteuid() != 0:
        return ()
    words = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")  # root reads and writes everything
    found = shutil.which(words[0])
    return words if found and subprocess.run([*words, "true"], check=False).returncode == 0 else None


_WITHOUT_RIGHTS = _find_words_without_rights()
can_close = pytest.mark.skipif(_WITHOUT_RIGHTS is None, reason="no folder can be closed to this user")


def _run_without_rights(lab: Lab, *arguments: str) -> Outcome:
    """Run a command that may do to files what their permissions say."""
    command = [*(_WITHOUT_RIGHTS or ()), *COMMAND, *arguments]
    shown = subprocess.run(
        command, cwd=lab.root, env=lab.child_environ, capture_output=True, text=True, check=False
    )
    return Outcome(code=shown.returncode, out=shown.stdout, err=shown.stderr)


@can_close
@pytest.mark.parametrize("verb", _VERBS, ids=" ".join)
def test_install_into_a_closed_data_folder(tiny: Lab, verb: tuple[str, ...]) -> None:
    """5: a data folder without rights is no bug of ours; it is named, and what there is to do."""
    tiny.data.mkdir(mode=0o000)
    shown = _run_without_rights(tiny, *verb, "--json")
    tiny.data.chmod(0o700)
    assert (shown.code, shown.error["code"].partition(".")[0]) == (ExitCode.INSTALL, "install")
    assert str(tiny.data) in shown.error["message"]
    assert "permission denied" in shown.error["message"]
    assert "`--data-dir`" in shown.error["hints"][-1]
    assert list(tiny.data.iterdir()) == []


@pytest.mark.parametrize("verb", [_VERBS[0], *_VERBS[2:4], _VERBS[-1]], ids=" ".join)
def test_install_into_a_data_folder_below_a_file(tiny: Lab, verb: tuple[str, ...]) -> None:
    """5: nor is a data folder that can never be made."""
    (tiny.root / "file").write_bytes(b"")
    shown = tiny.run(*verb, "--json", PROVISION_DATA_DIR=str(tiny.root / "file" / "data"))
    assert (shown.code, shown.error["code"].partition(".")[0]) == (ExitCode.INSTALL, "install")
    assert str(tiny.root / "file") in shown.error["message"]
    assert "`--data-dir`" in shown.error["hints"][-1]


@can_close
def test_unavailable_where_a_folder_takes_no_profile(lab: Lab) -> None:
    """8: a file elsewhere that the system refuses us is named as that."""
    lab.envs.chmod(0o500)
    shown = _run_without_rights(lab, "init", "own", "--extends", "llama3-cpu", "--json")
    lab.envs.chmod(0o700)
    assert (shown.code, shown.error["code"]) == (ExitCode.UNAVAILABLE, "unavailable.file")
    assert "`envs/own.yaml`" in shown.error["message"]
    assert sorted(path.name for path in lab.root.iterdir()) == ["envs", "home"]


def test_install_of_an_endless_file(lab: Lab) -> None:
    """5: a server that goes on sending is left where the locked file ends; nothing of it stays.

    What has come of another file at that moment stays for the next try.
    """
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.server.files["torch/torch/"] = lab.server.files["torch/torch/"].replace(b"/ok/", b"/slow/")
    lab.offer("tinyapp", "1.0")
    lab.write_profile()
    assert lab.run("lock", "tiny").code == 0
    endless = sha256(lab.server.files["files/tinyapp-1.0-py3-none-any.whl"]).hexdigest()
    page = lab.server.files["simple/tinyapp/"]
    lab.server.files["simple/tinyapp/"] = page.replace(b"/ok/files/", b"/endless/files/")
    shown = lab.run("create", "tiny", "--no-validate", "--json")
    assert (shown.code, shown.error["code"]) == (ExitCode.INSTALL, "install.hash_mismatch")
    assert "longer than" in shown.error["message"]
    assert not (lab.data / "store" / "parts" / f"{endless}.part").exists()


def test_validation_failed(lab: Lab) -> None:
    """6: the environment is built, its torch is none, and the stage that found out is named."""
    lab.lock_tiny()
    shown = lab.run("create", "tiny", "--json")
    assert shown.code == ExitCode.VALIDATE
    assert shown.data["verdict"] == "failed"
    assert shown.error["context"]["stage"]
    (row,) = lab.run("list", "--json").data["environments"]
    assert row["verdict"] == "failed"
    assert lab.run("validate", "tiny").code == ExitCode.VALIDATE
    assert lab.spawn("run", "tiny", "--", "python", "-c", "import tinyapp").code == 0


def test_unvalidated_before_any_download(lab: Lab) -> None:
    """7: an XPU profile on a machine without such a GPU stops before a byte is fetched."""
    lab.write_profile(
        changes={"device: cpu": "device: xpu", "torch: cpu": "torch: xpu", "2.13.0+cpu": "2.9.1+xpu"}
    )
    for more in ((), ("--lock",)):
        shown = lab.run("create", "tiny", "--json", *more)
        assert (shown.code, shown.error["code"]) == (ExitCode.UNVALIDATED, "gate.gpu")
        assert any("`--device cpu`" in hint for hint in shown.error["hints"])
    assert lab.server.requests == []
    assert not lab.data.exists()


def test_a_profile_for_a_gpu_is_proven_on_the_cpu_without_more_flags(lab: Lab) -> None:
    """`--device cpu` asks for no GPU: what the refusal offers goes on to the lock."""
    lab.write_profile(
        changes={"device: cpu": "device: xpu", "torch: cpu": "torch: xpu", "2.13.0+cpu": "2.9.1+xpu"}
    )
    shown = lab.run("create", "tiny", "--json", "--device", "cpu")
    assert (shown.code, shown.error["code"]) == (ExitCode.LOCK, "lock.missing")


def test_no_gate_builds_all_the_same(lab: Lab) -> None:
    """7: built without the gate, such an environment is there and never counted as passed.

    What is known of its packages is told when they are locked and before they are fetched.
    """
    lab.offer("torch", "2.11.0+xpu", index="torch")
    lab.offer("tinyapp", "1.0")
    lab.write_profile(
        changes={"device: cpu": "device: xpu", "torch: cpu": "torch: xpu", "2.13.0+cpu": "2.11.0+xpu"}
    )
    locked = lab.run("lock", "tiny")
    assert locked.code == 0
    assert "warning: `tiny` is reported to fail on `linux-64`: PyTorch's index gave no hash" in locked.err
    shown = lab.run("create", "tiny", "--json", "--no-gate", "--no-validate")
    assert shown.code == 0
    assert "warning: `tiny` is reported to fail on this machine: PyTorch's index gave no hash" in shown.err
    assert shown.data["verdict"] == "unvalidated"


@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "UV_INDEX", "HTTPS_PROXY", "PROVISION_FIND_LINKS"])
@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:99999/simple", "http://[::1/simple", "http://a..b/simple"]
)
def test_usage_of_a_malformed_address(lab: Lab, name: str, address: str) -> None:
    """2: an address from outside is judged where it comes in, and its place is named."""
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.write_profile()
    lab.environ[name] = address
    shown = lab.run("lock", "tiny", "--json")
    assert (shown.code, shown.error["code"]) == (ExitCode.USAGE, "usage.address")
    assert name.removeprefix("PROVISION_").lower() in shown.error["message"].lower()


def test_usage_of_no_index(lab: Lab) -> None:
    """2: who forbids indexes cannot lock; the variable is named and no index is asked."""
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.write_profile()
    lab.environ["PIP_NO_INDEX"] = "1"
    shown = lab.run("lock", "tiny", "--json")
    assert (shown.code, shown.error["code"]) == (ExitCode.USAGE, "usage.no_index")
    assert "PIP_NO_INDEX" in shown.error["message"]
    assert lab.server.requests == []


def test_unavailable_names_the_host(lab: Lab) -> None:
    """8: an index that does not answer is that, not `no solution`; its host is named."""
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.write_profile()
    lab.environ["PIP_INDEX_URL"] = "http://127.0.0.1:1/simple"
    shown = lab.run("lock", "tiny", "--json")
    assert shown.code == ExitCode.UNAVAILABLE
    assert "127.0.0.1:1" in shown.error["message"]
    assert not lab.lockfile.exists()


def test_unavailable_when_offline(tiny: Lab) -> None:
    """8: offline, one error names every file that is missing, with its size."""
    shown = tiny.run("create", "tiny", "--offline", "--no-validate", "--json")
    assert shown.code == ExitCode.UNAVAILABLE
    (error,) = shown.document["errors"]
    assert error["code"] == "unavailable.offline"
    files = {file["filename"]: file["bytes"] for file in error["context"]["files"]}
    assert set(files) == {"tinyapp-1.0-py3-none-any.whl", "torch-2.13.0+cpu-py3-none-any.whl"}
    assert all(f"{name}  {size} bytes" in error["message"] for name, size in files.items())
    assert error["context"]["bytes"] == sum(files.values())


@pytest.mark.skipif(sys.platform == "win32", reason="the other process holds the lock through fcntl")
@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "tiny", "--rebuild", "--no-validate"),
        ("remove", "tiny"),
        ("repair", "tiny", "--no-validate"),
        ("clean",),
    ],
)
def test_busy(arguments: tuple[str, ...], built: Lab) -> None:
    """9: while another process holds the environment nothing is done to it; waiting is bounded."""
    before = sorted(built.tree())
    lock = built.data / "locks" / "tiny.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        shown = built.run(*arguments, "--lock-timeout", "0.2", "--json")
        holder.kill()
    assert (shown.code, shown.error["code"]) == (ExitCode.BUSY, "busy.environment")
    assert shown.error["retryable"]
    assert sorted(built.tree()) == before


def test_a_program_keeps_its_exit_code(built: Lab) -> None:
    """`run` passes on what the program said."""
    assert built.spawn("run", "tiny", "--", "python", "-c", "raise SystemExit(42)").code == 42
