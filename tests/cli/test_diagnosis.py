"""`explain` and `doctor` through the command line."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.lab import Lab

SEED = (
    "Traceback (most recent call last):\n"
    '  File "run.py", line 3, in <module>\n'
    "NotImplementedError: Could not run 'torch_ipex::mul_add' with arguments from the 'CPU' backend.\n"
)
HOSTS = Path(__file__).parents[1] / "data" / "hosts"


@pytest.fixture
def seed(lab: Lab) -> Path:
    """Return a file with the seed's error."""
    path = lab.root / "failure.log"
    path.write_text(SEED, encoding="utf-8")
    return path


def test_explain_reads_files_pipes_and_encodings(lab: Lab, seed: Path) -> None:
    """A file, standard input, `-`, and PowerShell's UTF-16 say the same."""
    wanted = lab.run("explain", str(seed), "--json").data["matches"]
    assert wanted[0]["line"] == 3
    for data in (SEED.encode(), SEED.encode("utf-16"), SEED.replace("\n", "\r\n").encode("utf-8-sig")):
        shown = lab.spawn("explain", "--json", data=data)
        assert shown.data["source"] == "standard input"
        assert [match["id"] for match in shown.data["matches"]] == [match["id"] for match in wanted]
    assert lab.spawn("explain", "-", "--json", data=SEED.encode()).data["matches"] == wanted


def test_explain_says_cause_and_fix_in_words(lab: Lab, seed: Path) -> None:
    """The words hold what the data hold."""
    (match, *_) = lab.run("explain", str(seed), "--json").data["matches"]
    shown = lab.run("explain", str(seed)).out
    assert shown.startswith(f"{match['title']} (line 3)\n")
    assert f"id: {match['id']}" in shown
    assert {"id", "title", "stage", "confidence", "cause", "fix", "line"} <= set(match)


@pytest.mark.parametrize("data", [b"all is well\n", b"\0\xff\xfe\x80", b"\x1b[31mred"])
def test_explain_of_the_unknown_is_an_honest_answer(data: bytes, lab: Lab) -> None:
    """An unknown log is no error: an empty list, and what to collect."""
    shown = lab.spawn("explain", "--json", data=data)
    assert (shown.code, shown.data["matches"]) == (0, [])
    words = lab.spawn("explain", data=data).out
    assert "no known failure was recognised" in words
    assert "provision doctor --save" in words


def test_explain_of_an_empty_log_says_how_to_fill_it(lab: Lab) -> None:
    """Whoever sends standard output into a file has the error on the terminal: both languages say so."""
    (lab.root / "log.txt").touch()
    shown = lab.run("explain", "log.txt")
    assert (shown.code, shown.out.splitlines()[0]) == (0, "the log is empty")
    assert "2>&1" in shown.out
    assert "日志是空的" in lab.run("explain", "log.txt", "--lang", "zh").out


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("all is well\n", 0),
        ("RuntimeError: No XPU devices are available.\n", 10),
        ("AssertionError: Torch not compiled with CUDA enabled\n", 11),
        ("UserWarning: Failed to load image Python extension\n", 12),
    ],
)
def test_explain_answers_scripts_by_its_exit_code(text: str, code: int, lab: Lab) -> None:
    """`--exit-code` says known, likely, harmless or nothing; without it every answer is a success."""
    log = lab.root / "some.log"
    log.write_text(text, encoding="utf-8")
    assert lab.run("explain", str(log), "--exit-code").code == code
    assert lab.run("explain", str(log)).code == 0


def test_explain_reads_a_pipe_that_has_a_name(lab: Lab, seed: Path) -> None:
    """`explain <(command)` gives a path that is no regular file."""
    if sys.platform == "win32":
        pytest.skip("Windows has no named pipes in folders")
    path = lab.root / "pipe"
    os.mkfifo(path)
    with lab.start("explain", str(path), "--json") as process:
        path.write_bytes(seed.read_bytes())
        out, _ = process.communicate(timeout=30)
    assert json.loads(out)["data"]["matches"]


def test_explain_looks_at_an_environment(built: Lab) -> None:
    """An environment's name stands for what is installed in it."""
    found = built.run("explain", "tiny", "--json").data
    assert (found["source"], found["damage"]) == ("environment tiny", [])


def test_explain_looks_at_the_files_of_an_environment(tiny: Lab) -> None:
    """A failure that shows in missing files is named, and no more once they are there."""
    prefix = tiny.build_tiny()
    (torch,) = prefix.rglob("torch-*.dist-info")
    torch.rename(torch.with_name("torch-2.1.0a0+cxx11.abi.dist-info"))
    matches = tiny.run("explain", "tiny", "--json").data["matches"]
    assert "libmkl-core-libs" in [match["id"] for match in matches]
    (prefix / "lib" / "libmkl_core.so.2").touch()
    matches = tiny.run("explain", "tiny", "--json").data["matches"]
    assert "libmkl-core-libs" not in [match["id"] for match in matches]


def test_explain_of_a_healthy_environment_says_so(built: Lab) -> None:
    """Nothing known is wrong, and whether it was ever proven is said with the command that does it."""
    shown = built.run("explain", "tiny").out
    assert shown.startswith("nothing known is wrong with what is installed")
    assert "`provision validate tiny`" in shown
    assert "paste" not in shown


def test_doctor_says_that_there_is_no_gpu(lab: Lab) -> None:
    """A machine without an Intel GPU: exit 7, what can be used; nothing is written."""
    if any(Path("/sys/class/drm").glob("renderD*")):
        pytest.skip("this machine has a GPU")
    shown = lab.spawn("doctor", "--json")
    assert (shown.code, shown.data["outcome"]) == (7, "unsupported")
    assert shown.error["context"]["layer"] == "gpu"
    assert "`provision create llama3-torch-cpu`" in shown.error["hints"][0]
    disk = next(layer for layer in shown.data["layers"] if layer["name"] == "disk")
    assert "3.0 GiB needed" in disk["evidence"]
    assert not lab.data.exists()


def test_doctor_of_a_built_cpu_environment_needs_no_network(tiny: Lab) -> None:
    """Where nothing is to be downloaded no index is asked, and none can be the fault."""
    tiny.build_tiny()
    tiny.environ["PIP_INDEX_URL"] = "http://127.0.0.1:1/simple"
    shown = tiny.run("doctor", "tiny", "--json")
    layers = {layer["name"]: layer for layer in shown.data["layers"]}
    assert layers["indexes"]["verdict"] == "not needed"
    assert layers["gpu"]["verdict"] == "not needed"
    assert layers["environment"]["verdict"] == "pass"


def test_doctor_asks_no_index_that_the_user_forbids(tiny: Lab) -> None:
    """With pip's `no-index` no index is needed, and none is asked."""
    asked = len(tiny.server.requests)
    shown = tiny.run("doctor", "tiny", "--layer", "indexes", "--json", PIP_NO_INDEX="1")
    assert [layer["verdict"] for layer in shown.data["layers"]] == ["not needed"]
    assert len(tiny.server.requests) == asked


def test_doctor_asks_only_where_files_are_missing(tiny: Lab) -> None:
    """What lies in the store or a wheelhouse needs nobody; for the rest a dead index is exit 8 by name."""
    dead = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple"}
    shown = tiny.run("doctor", "tiny", "--layer", "indexes", "--json", **dead)
    assert shown.code == 8
    assert "not reached: `pypi`: could not fetch `simple` from `127.0.0.1:1`: " in shown.error["message"]
    assert "pytorch-cpu" not in shown.error["message"]
    wheels = tiny.root / "wheels"
    wheels.mkdir()
    for name in ("tinyapp-1.0-py3-none-any.whl", "torch-2.13.0+cpu-py3-none-any.whl"):
        wheels.joinpath(name).write_bytes(tiny.server.files[f"files/{name}"])
    shown = tiny.run("doctor", "tiny", "--find-links", "wheels", "--json", **dead)
    assert shown.code == 0
    (layer,) = [layer for layer in shown.data["layers"] if layer["name"] == "indexes"]
    assert (layer["verdict"], layer["evidence"]) == ("not needed", "nothing is to be downloaded")
    assert tiny.run("doctor", "tiny", "--layer", "indexes").code == 0
    offline = tiny.run("doctor", "tiny", "--layer", "indexes", "--offline", "--json")
    assert offline.code == 8
    assert "`--offline`" in offline.error["message"]
    assert not tiny.data.exists()


def test_doctor_sees_what_was_changed_by_hand(tiny: Lab) -> None:
    """A package that is gone is the environment layer's failure: exit 6 with what to do."""
    prefix = tiny.build_tiny()
    (info,) = prefix.rglob("tinyapp-1.0.dist-info")
    for path in info.iterdir():
        path.unlink()
    info.rmdir()
    shown = tiny.run("doctor", "tiny", "--json")
    assert shown.code == 6
    assert shown.error["context"]["layer"] == "environment"
    assert "tinyapp" in shown.error["message"]


def test_doctor_judges_saved_facts(lab: Lab) -> None:
    """What one machine saves another judges the same; the file names no user."""
    lab.environ["USER"] = "ada-lovelace"
    here = lab.run("doctor", "--json", "--save", "facts.json")
    text = lab.root.joinpath("facts.json").read_text(encoding="utf-8")
    assert "ada-lovelace" not in text
    there = lab.run("doctor", "--json", "--from", "facts.json")
    assert there.data["layers"] == here.data["layers"]
    assert there.code == here.code


def test_doctor_judges_a_healthy_machine(lab: Lab) -> None:
    """The recorded Arc A770 passes its hardware layers; one layer can be asked for by name."""
    shown = lab.run(
        *("doctor", "--from", str(HOSTS / "linux-arc-a770-healthy.json"), "--layer", "gpu", "--json")
    )
    assert (shown.code, [layer["name"] for layer in shown.data["layers"]]) == (0, ["gpu"])


def test_doctor_says_what_machines_are_grouped_by(lab: Lab) -> None:
    """Cards with their class and driver are data: nobody has to read them out of sentences."""
    host = lab.run("doctor", "--from", str(HOSTS / "linux-arc-a770-healthy.json"), "--json").data["host"]
    assert (host["os"], host["gpu_class"], host["libraries"]["gpu-driver"]) == (
        "linux",
        "arc-a",
        "1.14.37020",
    )
    assert [(gpu["product"], gpu["driver"]) for gpu in host["gpus"]] == [("Arc A770", "i915")]
    other = lab.run("doctor", "--from", str(HOSTS / "linux-nvidia-only.json"), "--json").data["host"]
    assert other["gpu_class"] is None
    assert [gpu["product"] for gpu in other["gpus"]] == [None]


def test_doctor_tells_what_is_known_of_driver_and_lock(lab: Lab) -> None:
    """The rows that apply to a machine and a lock are lines and data; for the CPU there are none."""
    facts = str(HOSTS / "windows-arc-a770-old-driver.json")
    shown = lab.run("doctor", "llama3-arc", "--from", facts, "--json")
    assert shown.data["known"][0]["id"] == "ipex-2-1-windows-driver"
    assert (shown.code, shown.error["code"]) == (7, "known.ipex_2_1_windows_driver")
    assert shown.data["known"][0]["address"].startswith("https://")
    text = lab.run("doctor", "llama3-arc", "--from", facts).out
    assert "known: `llama3-arc` is outside of what its makers support here: IPEX 2.1 needs" in text
    assert "hint: install Intel's current Arc driver" in text
    assert lab.run("doctor", "llama3-cpu", "--from", facts, "--json").data["known"] == []
    alone = lab.run("doctor", "llama3-arc", "--from", facts, "--layer", "gpu", "--json")
    assert (alone.code, alone.data["known"]) == (0, [])


def test_doctor_with_nothing_judged_is_not_all_good(lab: Lab) -> None:
    """A layer that is not needed proves nothing."""
    shown = lab.run("doctor", "llama3-cpu", "--layer", "gpu", "--json")
    assert shown.code == 7
    assert "a layer that is needed" in shown.error["hints"][0]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"schema": "provision.host/1",\n ?}', "line 2 column 2"),
        (b"\xff\xfe\xfd", "it is not JSON"),
        (b'{"schema": "provision.host/1", "os": 7}', "`$.os` is not `str`"),
        (b" " * (9 << 20), "larger than 8 MiB"),
    ],
)
def test_doctor_refuses_files_that_hold_no_facts(lab: Lab, data: bytes, why: str) -> None:
    """Saved facts come from anyone: what is no such document is a usage error that says where and why."""
    lab.root.joinpath("facts.json").write_bytes(data)
    shown = lab.run("doctor", "--from", "facts.json", "--json")
    assert (shown.code, shown.error["code"]) == (2, "doctor.bad_facts")
    assert why in shown.error["message"]


def test_doctor_does_not_wait_for_a_pipe(lab: Lab) -> None:
    """A pipe where a file with facts belongs is refused at once."""
    if sys.platform == "win32":
        pytest.skip("Windows has no named pipes in folders")
    os.mkfifo(lab.root / "facts.json")
    shown = lab.run("doctor", "--from", "facts.json", "--json")
    assert (shown.code, shown.error["code"]) == (2, "doctor.bad_facts")


def test_explain_and_doctor_print_sarif(lab: Lab, tmp_path: Path) -> None:
    """`--format sarif` prints a SARIF log and nothing else, and the exit code stays what it was."""
    log = tmp_path / "log.txt"
    log.write_text("RuntimeError: No XPU devices are available.\n")
    found = lab.run("explain", str(log), "--format", "sarif", "--exit-code")
    assert found.code == 10
    assert json.loads(found.out)["runs"][0]["results"][0]["ruleId"] == "no-xpu-devices-available"
    judged = lab.run("doctor", "--layer", "environment", "--format", "sarif")
    (layer,) = json.loads(judged.out)["runs"][0]["results"]
    assert layer["ruleId"] == "environment"
    assert judged.code == lab.run("doctor", "--layer", "environment").code


def test_explain_speaks_chinese_where_the_locale_or_lang_says_so(lab: Lab, tmp_path: Path) -> None:
    """A Chinese locale chooses Chinese, `--lang` wins over it, and what is recognised stays the same."""
    log = tmp_path / "log.txt"
    log.write_text("RuntimeError: No XPU devices are available.\n")
    english = lab.run("explain", str(log)).out
    assert "  cause: torch is the XPU build" in english
    chinese = lab.run("explain", str(log), "--lang", "zh").out
    assert "（第 1 行）" in chinese  # noqa: RUF001 # Chinese
    assert "  原因: torch 是 XPU 版" in chinese
    assert "id: no-xpu-devices-available" in chinese
    lab.environ["LANG"] = "zh_CN.UTF-8"
    assert lab.run("explain", str(log)).out == chinese
    assert lab.run("explain", str(log), "--lang", "en").out == english
    (rule,) = json.loads(lab.run("explain", str(log), "--format", "sarif").out)["runs"][0]["tool"]["driver"][
        "rules"
    ]
    assert "找不到 XPU 设备" in rule["shortDescription"]["text"]
    lab.environ["LC_ALL"] = "C.UTF-8"
    assert lab.run("explain", str(log)).out == english
    log.write_text("all is well\n")
    assert "没有认出已知的故障" in lab.run("explain", str(log), "--lang", "zh").out
    assert lab.run("explain", str(log), "--lang", "xx").code == 2
