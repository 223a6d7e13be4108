"""conda's own activation of our prefixes: the profile's variables, literally, and none of them after it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.install.markers import format_markers, write_markers
from tests.installing import make_plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runs the shells of POSIX")

PLAIN = {"PLAIN": "{prefix}/share", "EMPTY": "", "NUMBER": "1"}
HOSTILE = {
    "QUOTE": "it's; touch CANARY; '",
    "DOUBLE": 'a" ; touch CANARY ; "',
    "DOLLAR": "$(touch CANARY) ${HOME}",
    "BACKTICK": "`touch CANARY`",
    "BACKSLASH": "a\\' \\",
    "PERCENT": "%PATH% & | < > ^ !",
    "NEWLINES": "one\ntouch CANARY",
}
# conda-lock brings conda's activation along, in a folder that it puts on the path itself
CONDA = """\
import sys
from pathlib import Path
import conda_lock
sys.path.insert(0, str(Path(conda_lock.__file__).parent / "_vendor"))
from conda import activate
activator = activate.FishActivator if sys.argv[1] == "fish" else activate.PosixActivator
print(activator(sys.argv[2:]).execute())
"""
SHELLS = [
    pytest.param(shell, marks=pytest.mark.skipif(shutil.which(shell) is None, reason=f"there is no {shell}"))
    for shell in ("bash", "dash", "zsh", "fish")
]


def make_prefix(prefix: Path, variables: dict[str, str]) -> Path:
    """Make what conda takes for a prefix, with our markers."""
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta" / "history").touch()
    plan = replace(make_plan(), env=variables)
    write_markers(format_markers(plan, prefix, stdlib=prefix / "lib" / "python3.11"))
    return prefix


def run_shell(shell: str, lines: str, folder: Path, **variables: str) -> str:
    """Run lines in a shell; `conda` in them prints what activates."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)} | variables
    done = subprocess.run(
        [shell, "-c", lines], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_conda_sets_what_the_profile_says(shell: str, tmp_path: Path) -> None:
    """Activated by conda every variable has its value, nothing is evaluated; deactivated all is as before."""
    prefix = make_prefix(tmp_path / "prefix", PLAIN | HOSTILE)
    (tmp_path / "conda.py").write_text(CONDA, encoding="utf-8")
    conda = f"'{sys.executable}' '{tmp_path / 'conda.py'}' {shell}"
    dump = f"'{sys.executable}' -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    form = "eval ({} | string collect)" if shell == "fish" else 'eval "$({})"'
    enter, leave = (form.format(f"{conda} {words}") for words in (f"activate '{prefix}'", "deactivate"))
    shown = run_shell(shell, f"{enter}\n{dump}\n{leave}\n{dump}", tmp_path, DOUBLE="mine", PLAIN="mine too")
    active, after = (json.loads(line) for line in shown.splitlines() if line.startswith("{"))
    expected = {name: value.replace("{prefix}", str(prefix)) for name, value in (PLAIN | HOSTILE).items()}
    assert {name: active.get(name) for name in expected} == expected
    assert active["CONDA_PREFIX"] == str(prefix)
    assert after["DOUBLE"] == "mine"
    assert not {name for name in HOSTILE if name != "DOUBLE"} & set(after)
    assert not [name for name in after if name.startswith("_PROVISION")]
    assert not (tmp_path / "CANARY").exists()


def test_values_that_every_shell_takes_need_no_script(tmp_path: Path) -> None:
    """A usual profile's variables stand in conda's state alone, where its own commands show them."""
    prefix = make_prefix(tmp_path, PLAIN)
    state = json.loads((prefix / "conda-meta" / "state").read_text(encoding="utf-8"))
    assert state["env_vars"]["PLAIN"] == f"{prefix}/share"
    assert not (prefix / "etc").exists()
