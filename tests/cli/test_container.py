"""`provision export --format dockerfile | devcontainer`: containers build the locked environment."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema.validators import validator_for

from provisioner.ground.json_edit import read_json
from provisioner.lock.dockerfile import Container, ContainerForm, format_container
from tests.cli.lab import COMMAND, REPOSITORY, Lab

SCHEMA = json.loads(
    (REPOSITORY / "tests/data/devcontainer/devContainer.base.schema.json").read_text(encoding="utf-8")
)


def make_container(**changes: object) -> Container:
    """Return what would be built."""
    values = {"profile": "a", "python": "3.11", "conda": False, "xpu": False, "lock_sha256": "0" * 64}
    return Container(**(values | changes))  # type: ignore[arg-type] # by name


KINDS = [
    make_container(),
    make_container(python="3.10"),
    make_container(xpu=True),
    make_container(xpu=True, conda=True),
]


@pytest.mark.parametrize("container", KINDS)
@pytest.mark.parametrize("form", ContainerForm)
def test_hadolint_has_nothing_to_say(container: Container, form: ContainerForm, tmp_path: Path) -> None:
    """The Dockerfile follows hadolint's rules, down to its remarks."""
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("there is no hadolint")
    text = next(
        text for name, text in format_container(container, form).items() if name.endswith("Dockerfile")
    )
    (tmp_path / "Dockerfile").write_text(text, encoding="utf-8")
    done = subprocess.run([hadolint, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("container", KINDS)
def test_a_dev_container_is_one(container: Container) -> None:
    """The file follows the specification's schema; with a GPU it gets the device and the group's number."""
    document = read_json(
        format_container(container, ContainerForm.DEVCONTAINER)[".devcontainer/devcontainer.json"]
    )
    validator_for(SCHEMA)(SCHEMA).validate(document)
    assert ("--device=/dev/dri" in document.get("runArgs", [])) is container.xpu
    assert ("postCreateCommand" in document) is container.xpu


def test_the_lock_of_the_folder_is_what_is_built(tiny: Lab) -> None:
    """Both files are written where they belong; the Dockerfile has the lock's digest and names no host."""
    done = tiny.run("export", "tiny", "--format", "devcontainer", "--output", ".", "--json")
    assert done.data["files"] == [".devcontainer/devcontainer.json", ".devcontainer/Dockerfile"]
    text = (tiny.root / ".devcontainer" / "Dockerfile").read_text(encoding="utf-8")
    digest = subprocess.run(["sha256sum", tiny.lockfile], capture_output=True, text=True, check=True).stdout
    assert digest.split()[0] in text
    assert "://" not in text
    assert "--locked --offline" in text
    assert tiny.run("export", "tiny", "--format", "dockerfile", "--platform", "win-64").code == 2
    (tiny.envs / "tiny.yaml").write_text(
        (tiny.envs / "tiny.yaml").read_text(encoding="utf-8").replace("- tinyapp", "- tinyother"),
        encoding="utf-8",
    )
    assert tiny.run("export", "tiny", "--format", "dockerfile").code == 4


def test_locked_wins_against_the_variable(tiny: Lab) -> None:
    """`--locked` locks nothing, whatever `PROVISION_LOCK` says: a stale lockfile ends the command."""
    path = tiny.envs / "tiny.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("- tinyapp", "- tinyapp==1.0"), encoding="utf-8")
    before = tiny.lockfile.read_bytes()
    assert tiny.run("create", "tiny", "--locked", "--no-validate", PROVISION_LOCK="1").code == 4
    assert tiny.lockfile.read_bytes() == before


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-rn", "true"], check=False).returncode != 0,
    reason="no network namespaces here",
)
def test_the_commands_of_a_dockerfile_build_the_environment(tmp_path: Path) -> None:
    """What `docker build` of docs/how-to/containers.md would run works offline; another lock is refused."""
    words = (*COMMAND, "bundle", "llama3-cpu", "-o", "llama3-cpu.bundle.tar", "--data-dir", "data")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PROVISION_")}
    environ["PYTHONPATH"] = str(REPOSITORY)
    bundled = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    if bundled.returncode == 8:
        pytest.skip(f"the wheels of llama3-cpu cannot be had here: {bundled.stderr}")
    assert bundled.returncode == 0, bundled.stderr
    exported = subprocess.run(
        [*COMMAND, "export", "llama3-cpu", "--format", "dockerfile"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    home = tmp_path / "home"
    for digest, code in (("0" * 64, 1), ("", 0)):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        text = (
            re.sub(r'echo "[0-9a-f]{64}', f'echo "{digest}', exported.stdout) if digest else exported.stdout
        )
        text = text.replace("/home/provision", str(home)).replace("/tmp/llama3", f"{tmp_path}/llama3")  # noqa: S108 # the mount's place
        runs = re.findall(r"^RUN --mount=\S+ \\\n((?:.*\\\n)*.*)$", text, re.MULTILINE)
        assert len(runs) == 2
        done = None
        for run in runs[: 1 if code else 2]:
            done = subprocess.run(
                ["unshare", "-rn", "bash", "-euo", "pipefail", "-c", run],
                cwd=home,
                env={"HOME": str(home), "PATH": f"{home}/tool/bin:{environ['PATH']}", "LANG": "C.UTF-8"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == code, done.stdout + done.stderr
    assert done is not None
    assert "llama3-cpu: passed on cpu" in done.stdout
