"""`provision integrate`: Jupyter and VS Code start an environment by its path that stays."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.lab import REPOSITORY, Lab

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runs the programs of POSIX")

# no `$` and no backtick: a profile takes neither
HOSTILE = 'it\'s; touch CANARY & "x" \\n * ~ \u4e2d {prefix}/x'
# Writes what a kernel would find, into the file that a real one would read its ports from.
LAUNCHER = """\
import json, os, sys
with open(sys.argv[sys.argv.index("-f") + 1], "w") as out:
    json.dump({"prefix": sys.prefix, "environ": dict(os.environ)}, out)
"""
# Starts the kernel by its name through jupyter_client, runs a cell, prints what the cell printed.
CLIENT = """\
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(startup_timeout=120, kernel_name="provision-tiny")
def show(message):
    if message["msg_type"] == "stream":
        print(message["content"]["text"], end="")
try:
    cell = "import os, sys; print(sys.prefix); print(os.environ['TINY_VALUE'])"
    reply = client.execute_interactive(cell, timeout=120, output_hook=show)
    assert reply["content"]["status"] == "ok", reply
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


@pytest.fixture
def notebook(tiny: Lab) -> Lab:
    """Return a lab with `tiny` built, an ipykernel and a hostile variable in it; its Jupyter is its own."""
    tiny.offer("ipykernel", "7.0", files={"ipykernel_launcher.py": LAUNCHER})
    path = tiny.envs / "tiny.yaml"
    text = path.read_text(encoding="utf-8").replace("- tinyapp\n", "- tinyapp\n    - ipykernel\n")
    path.write_text(f"{text}env:\n  TINY_VALUE: {json.dumps(HOSTILE)}\n", encoding="utf-8")
    assert (locked := tiny.run("lock", "tiny")).code == 0, locked.err
    tiny.environ["JUPYTER_DATA_DIR"] = str(tiny.root / "jupyter")
    tiny.build_tiny()
    return tiny


def start_kernel(lab: Lab) -> tuple[str, dict[str, str]]:
    """Start the kernel as Jupyter does, and return its prefix and its environment."""
    spec = json.loads((lab.root / "jupyter/kernels/provision-tiny/kernel.json").read_text(encoding="utf-8"))
    file = lab.root / "connection.json"
    words = [word.replace("{connection_file}", str(file)) for word in spec["argv"]]
    subprocess.run(words, env={"PATH": os.environ["PATH"]} | spec.get("env", {}), check=True)
    seen = json.loads(file.read_text(encoding="utf-8"))
    return seen["prefix"], seen["environ"]


def test_both_tools_start_the_new_generation(notebook: Lab) -> None:
    """The kernel and VS Code's interpreter start what is current, with the profile's variables."""
    told = notebook.run("integrate", "tiny", "--jupyter", "--vscode")
    assert "kernel `provision-tiny` written to " in told.out
    assert "next: open the folder in VS Code; where you chose an interpreter before, " in told.out
    done = notebook.run("integrate", "tiny", "--jupyter", "--vscode", "--json")
    assert done.code == 0, done.err
    home = notebook.data / "environments" / "tiny"
    python = json.loads((notebook.root / ".vscode" / "settings.json").read_text(encoding="utf-8"))
    assert python == {"python.defaultInterpreterPath": str(home / "bin" / "python")}
    prefixes = []
    for number in (1, 2):
        prefix, environ = start_kernel(notebook)
        shown = subprocess.run(
            [*python.values(), "-c", "import sys, os; print(sys.prefix, os.environ['TINY_VALUE'])"],
            env={},
            capture_output=True,
            text=True,
            check=True,
        )
        value = HOSTILE.replace("{prefix}", str(home / "env"))
        assert environ["TINY_VALUE"] == value
        assert shown.stdout == f"{prefix} {value}\n"
        assert environ["PATH"].startswith(f"{home / 'bin'}:{home / 'env' / 'bin'}:")
        prefixes.append(prefix)
        assert notebook.run("create", "tiny", "--no-validate", "--rebuild").code == 0, number
    assert [Path(prefix).name[0] for prefix in prefixes] == ["1", "2"]


def test_what_a_user_changes_in_an_active_shell_stays(notebook: Lab) -> None:
    """Inside an activated shell the stable `python` sets nothing again."""
    script = notebook.run("activate", "tiny", "--shell", "bash").out
    line = f"{script}\nexport TINY_VALUE=mine\npython -c \"import os; print(os.environ['TINY_VALUE'])\""
    shown = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert shown.stdout == "mine\n"


def test_create_writes_both_and_remove_takes_the_kernel_along(notebook: Lab) -> None:
    """`create --jupyter --vscode` with nothing to build writes them; an environment leaves no dead kernel."""
    done = notebook.run("create", "tiny", "--no-validate", "--jupyter", "--vscode", "--json")
    assert done.code == 0, done.err
    kernel = notebook.root / "jupyter" / "kernels" / "provision-tiny"
    written = {"jupyter": str(kernel), "vscode": ".vscode/settings.json", "replaced": None}
    assert done.data["integrated"] == written
    assert kernel.is_dir()
    removed = notebook.run("remove", "tiny")
    assert "Jupyter kernel" in removed.out
    assert not kernel.exists()
    settings = notebook.root / ".vscode" / "settings.json"
    told = f"`{settings}` still names its interpreter; to take it out: provision "
    assert told in removed.out
    words = shlex.split(removed.out.partition(told)[2])
    assert notebook.run(*words).code == 0
    assert "python" not in settings.read_text(encoding="utf-8")


def test_settings_that_cannot_be_remembered_are_not_written(notebook: Lab) -> None:
    """Where the folder cannot be noted down, the error says so, and VS Code's settings stay as they are."""
    (notebook.data / "environments" / "tiny" / "vscode-folders.json").mkdir()
    done = notebook.run("integrate", "tiny", "--vscode", "--json")
    assert (done.code, done.error["code"]) == (2, "usage.integrate")
    assert "vscode-folders.json" in done.error["message"]
    assert not (notebook.root / ".vscode").exists()


def test_remove_is_silent_of_settings_that_name_another_interpreter(notebook: Lab) -> None:
    """What a user has changed since is no longer ours to speak of."""
    assert notebook.run("integrate", "tiny", "--vscode").code == 0
    settings = notebook.root / ".vscode" / "settings.json"
    settings.write_text('{"python.defaultInterpreterPath": "/usr/bin/python3"}', encoding="utf-8")
    assert notebook.run("remove", "tiny", "--json").data["settings"] == []


def test_comments_in_the_settings_stay_and_it_is_taken_back(notebook: Lab) -> None:
    """Settings with comments keep every other byte; `--remove` leaves another interpreter alone."""
    folder = notebook.root / "work"
    (folder / ".vscode").mkdir(parents=True)
    path = folder / ".vscode" / "settings.json"
    text = '{\n  // mine\n  "editor.tabSize": 2, // two\n}\n'
    path.write_text(text, encoding="utf-8")
    assert notebook.run("integrate", "tiny", "--vscode", "--folder", "work").code == 0
    assert path.read_text(encoding="utf-8") == text.replace(
        "// two\n",
        f'// two\n  "python.defaultInterpreterPath": "{notebook.data}/environments/tiny/bin/python"\n',
    )
    assert "as it was" in notebook.run("integrate", "tiny", "--vscode", "--folder", "work").out
    assert notebook.run("integrate", "tiny", "--remove", "--folder", "work").code == 0
    assert path.read_text(encoding="utf-8") == text.replace("2, //", "2 //")
    other = '{"python.defaultInterpreterPath": "/usr/bin/python3"}'
    path.write_text(other, encoding="utf-8")
    assert notebook.run("integrate", "tiny", "--remove", "--folder", "work").code == 0
    assert path.read_text(encoding="utf-8") == other
    shown = notebook.run("integrate", "tiny", "--vscode", "--folder", "work")
    assert "work/.vscode/settings.json, in place of `/usr/bin/python3`\n" in shown.out
    assert "in place of" not in notebook.run("integrate", "tiny", "--vscode", "--folder", "work").out


@pytest.mark.parametrize("words", [("integrate", "tiny"), ("create", "tiny", "--rebuild", "--no-validate")])
def test_without_ipykernel_nothing_is_written_or_built(words: tuple[str, ...], tiny: Lab) -> None:
    """A lock without ipykernel ends the command before anything happens; the hint adds it to the lock."""
    tiny.environ["JUPYTER_DATA_DIR"] = str(tiny.root / "jupyter")
    tiny.build_tiny()
    before = tiny.tree()
    done = tiny.run(*words, "--jupyter", "--json")
    assert (done.code, done.error["code"]) == (2, "usage.no_ipykernel")
    assert "provision add tiny ipykernel" in done.error["hints"][0]
    assert tiny.tree() == before
    assert not (tiny.root / "jupyter").exists()


def test_what_is_not_ours_is_not_changed(notebook: Lab) -> None:
    """Settings that cannot be read, and a kernel of somebody else with our name, stay as they are."""
    path = notebook.root / ".vscode" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"a": }', encoding="utf-8")
    done = notebook.run("integrate", "tiny", "--vscode", "--json")
    assert (done.code, done.error["code"]) == (2, "usage.integrate")
    assert path.read_text(encoding="utf-8") == '{"a": }'
    kernel = notebook.root / "jupyter" / "kernels" / "provision-tiny" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text('{"argv": ["mine"]}', encoding="utf-8")
    assert notebook.run("integrate", "tiny", "--jupyter", "--json").error["code"] == "usage.integrate"
    assert notebook.run("integrate", "tiny", "--remove", "--folder", "jupyter").code == 0
    assert kernel.read_text(encoding="utf-8") == '{"argv": ["mine"]}'


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_kernel_runs_a_cell(tiny: Lab) -> None:
    """jupyter_client starts the kernel by its name; after a new generation it starts that one."""
    root = tiny.root
    profile = tiny.write_profile(changes={"- tinyapp\n": "- ipykernel\n"})
    profile.write_text(f"{profile.read_text(encoding='utf-8')}env:\n  TINY_VALUE: it's\n", encoding="utf-8")
    tiny.lockfile.unlink()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PROVISION_")}
    environ |= {"PYTHONPATH": str(REPOSITORY), "JUPYTER_DATA_DIR": str(root / "jupyter")}
    words = [sys.executable, "-m", "provisioner", "create", "tiny", "--no-validate", "--data-dir", "data"]

    def create(*more: str) -> None:
        done = subprocess.run(
            [*words, *more], cwd=root, env=environ, capture_output=True, text=True, check=False
        )
        if done.returncode == 8:
            pytest.skip(f"the index cannot be reached: {done.stderr}")
        assert done.returncode == 0, done.stderr

    create("--lock", "--jupyter")
    subprocess.run([sys.executable, "-m", "venv", str(root / "client")], check=True)
    pip = [str(root / "client" / "bin" / "pip"), "install", "--quiet", "jupyter_client"]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"jupyter_client cannot be had: {installed.stderr}")
    seen = []
    for more in ((), ("--rebuild",)):
        if more:
            create(*more)
        client = [str(root / "client" / "bin" / "python"), "-W", "ignore", "-c", CLIENT]
        shown = subprocess.run(client, env=environ, capture_output=True, text=True, check=False)
        assert shown.returncode == 0, shown.stderr
        prefix, value = shown.stdout.splitlines()
        assert value == "it's"
        assert prefix == str((root / "data" / "environments" / "tiny" / "env").resolve())
        seen.append(prefix)
    assert len(set(seen)) == 2
