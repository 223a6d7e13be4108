"""The failure that this project began with: docs/seed.md, step by step through the command line."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uv

from tests.cli.pages import find_lost_words, read_page, read_steps
from tests.wheels import make_wheel, write_wheel

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(600)]

REPOSITORY = Path(__file__).parents[2]
TEXT = read_page("docs/seed.md")
PAGE = " ".join(TEXT.split())
IPEX = "2.8.10+xpu"
SEED = "Could not run 'torch_ipex::mul_add' with arguments from the 'CPU' backend"
PROFILE = f"""\
description: ChatGLM2 on Arc, with the IPEX that a forum recommends
extends: chatglm2-arc
pip:
  packages: [intel-extension-for-pytorch=={IPEX}]
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A data folder, and what the steps need besides the tool: two wheels and two models."""

    root: Path

    def run(self, verb: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a verb with this data folder."""
        variables = {name: text for name, text in os.environ.items() if not name.startswith("PROVISION_")}
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "provisioner",
                verb,
                "--data-dir",
                self.root / "data",
                *arguments,
            ],
            check=False,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env=variables | {"HF_HOME": str(self.root / "hf"), "MAX_JOBS": "1"},
        )

    def ask(self, verb: str, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
        """Return the JSON document of a verb that ends with this code."""
        done = self.run(verb, "--json", *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def chat(self, environment: str, model: str) -> subprocess.CompletedProcess[str]:
        """Run the user's program."""
        program = REPOSITORY / "tests" / "gpu" / "seed_chat.py"
        return self.run("run", environment, "--", "python", program, self.root / model)

    def create(self, name: str) -> Path:
        """Build the profile under this name and return its interpreter."""
        done = self.run("create", "--json", "--no-validate", "chatglm2-cpu", "--name", name)
        if done.returncode == 8:
            pytest.skip(reason=f"the wheels of chatglm2-cpu cannot be had here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stdout + done.stderr
        return Path(json.loads(done.stdout)["data"]["prefix"]) / "bin" / "python"

    def install(self, python: Path, *wheels: str) -> None:
        """Put wheels into an environment by hand."""
        for wheel in wheels:
            (path,) = (self.root / "wheels").glob(f"{wheel}-*.whl")
            _uv("pip", "install", "--python", python, "--no-deps", path)


def _uv(*arguments: str | Path) -> None:
    done = subprocess.run([uv.find_uv_bin(), *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


SOFTXPU, SEPARATE_IPEX = "provision_softxpu", "intel_extension_for_pytorch"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Return a bench with the broken environment `chatglm2-cpu`, and the wheels and models of the page."""
    if sys.platform != "linux" or shutil.which("g++") is None:
        pytest.skip(reason="the software XPU is compiled with g++ on Linux")
    bench = Bench(root=tmp_path_factory.mktemp("seed"))
    python = bench.create("chatglm2-cpu")
    wheels = bench.root / "wheels"
    _uv(
        "build", "--wheel", "--no-build-isolation", "--python", python, "--out-dir", wheels,
        REPOSITORY / "tests" / "softxpu",
    )  # fmt: skip
    module = {f"{SEPARATE_IPEX}/__init__.py": f"__version__ = {IPEX!r}\n"}
    write_wheel(wheels, *make_wheel("intel-extension-for-pytorch", IPEX, module))
    bench.install(python, SOFTXPU, SEPARATE_IPEX)
    for arguments in (["chatglm2-left"], ["chatglm2-moved", "--buffer"]):
        folder = bench.root / arguments[0]
        program = REPOSITORY / "tests" / "gpu" / "seed_model.py"
        done = bench.run("run", "chatglm2-cpu", "--", "python", program, folder, *arguments[1:])
        assert done.returncode == 0, done.stderr
    return bench


def on_page(*texts: str) -> None:
    """Check that the page shows these texts, wherever its lines end."""
    for text in texts:
        assert " ".join(text.split()) in PAGE, text


def test_the_traceback_is_torchs_own_and_names_the_separate_ipex(bench: Bench) -> None:
    """PyTorch raises the seed's sentence; `explain` finds the cause in the log, and in a Chinese page."""
    failed = bench.chat("chatglm2-cpu", "chatglm2-left")
    assert failed.returncode == 1
    assert f"NotImplementedError: {SEED}" in failed.stderr
    assert f"intel-extension-for-pytorch {IPEX}" in failed.stderr
    on_page(f"NotImplementedError: {SEED}", f"intel-extension-for-pytorch {IPEX}")
    log, page = bench.root / "seed.log", bench.root / "page.html"
    log.write_text(failed.stderr, encoding="utf-8")
    quoted = failed.stderr.replace("&", "&amp;").replace("<", "&lt;")
    page.write_text(
        f"<p>锐炫显卡报错, 求助:</p>\n<pre>{quoted}</pre>\n<p>请问怎么解决?</p>", encoding="gb18030"
    )
    matches = [bench.ask("explain", path)["data"]["matches"] for path in (log, page)]
    for match, *_ in matches:
        assert match["id"] == "ipex-mul-add-cpu-backend"
        causes = match["cause"].splitlines()
        assert causes[0].startswith("1. A separate IPEX (intel-extension-for-pytorch) was installed")
        assert all(step in match["fix"] for step in ("(1)", "(2)", "(3)"))
    (step,) = (step for step in read_steps(TEXT) if step.command == "provision explain seed.log")
    assert find_lost_words(step.lines, bench.run("explain", log).stdout) is None


def test_the_environment_is_told_to_be_broken_before_anything_runs(bench: Bench) -> None:
    """`doctor`, `explain` and `validate` each name the separate IPEX, and what to do."""
    sick = bench.ask("doctor", "chatglm2-cpu", "--layer", "environment", code=6)
    (layer,) = sick["data"]["layers"]
    on_page(layer["evidence"], layer["hint"])
    matches = bench.ask("explain", "chatglm2-cpu")["data"]["matches"]
    assert [match["id"] for match in matches] == ["ipex-torch-minor-mismatch", "ipex-mul-add-cpu-backend"]
    on_page(*(match["title"] for match in matches))
    refused = bench.ask("validate", "chatglm2-cpu", "--device", "xpu", code=6)
    assert refused["data"]["report"]["stage"] == "packages"
    (error,) = refused["errors"]
    on_page(error["message"], *error["hints"])


def test_validation_names_operator_tensors_and_remedy(bench: Bench) -> None:
    """Without the separate IPEX the model's own fault is left: stage forward, and three steps."""
    bench.install(bench.create("second"), SOFTXPU)
    model = ("--model", bench.root / "chatglm2-left", "--trust-remote-code", "--no-width")
    failed = bench.ask("validate", "second", "--device", "xpu", *model, code=6)
    report = failed["data"]["report"]
    assert (report["stage"], report["code"]) == ("forward", "cpu_fallback")
    assert "`torch_ipex::mul_add`" in report["reason"]
    assert "`inv_freq in forward`" in report["reason"]
    assert len(report["hints"]) == 3
    on_page(report["reason"], *report["hints"])
    forward = next(record for record in report["records"] if record["name"] == "forward")
    assert SEED in forward["measured"]["error"]
    (match,) = failed["data"]["matches"]
    assert match["id"] == "ipex-mul-add-cpu-backend"
    assert match["cause"].startswith("1. CPU fallback")


def test_a_fresh_environment_passes(bench: Bench) -> None:
    """Built again from the lock, with a model that moves; `doctor` names only what was put in by hand."""
    bench.install(bench.create("third"), SOFTXPU, SEPARATE_IPEX)
    prefix = bench.ask("repair", "third", "--no-validate")["data"]["prefix"]
    bench.install(Path(prefix) / "bin" / "python", SOFTXPU)
    assert bench.chat("third", "chatglm2-moved").stdout.startswith("logits on xpu:0")
    model = ("--model", bench.root / "chatglm2-moved", "--trust-remote-code", "--no-width")
    passed = bench.ask("validate", "third", "--device", "xpu", *model)["data"]
    assert passed["verdict"] == "passed"
    assert passed["device"]["name"] == "Software XPU (provision tests)"
    on_page(*passed["report"]["not_proven"])
    (layer,) = bench.ask("doctor", "third", "--layer", "environment", code=6)["data"]["layers"]
    assert layer["evidence"].startswith(f"`lib/python3.11/site-packages/{SOFTXPU}")
    (environment,) = bench.ask("verify", "third", code=5)["data"]["environments"]
    assert {difference["change"] for difference in environment["differences"]} == {"added"}
    assert bench.ask("explain", "third")["data"]["matches"] == []


def test_the_profile_that_asks_for_it_is_refused(tmp_path: Path) -> None:
    """`lock` says before any download how a separate IPEX would end."""
    envs, lockfiles = tmp_path / "envs", tmp_path / "lockfiles"
    envs.mkdir()
    (envs / "chatglm2-seed.yaml").write_text(PROFILE, encoding="utf-8")
    on_page(PROFILE)
    refused = Bench(root=tmp_path).ask(
        "lock", "chatglm2-seed", "--envs", envs, "--lockfiles", lockfiles, code=3
    )
    (error,) = refused["errors"]
    assert SEED in error["message"]
    on_page(error["message"], *error["hints"])
    assert not lockfiles.exists()
