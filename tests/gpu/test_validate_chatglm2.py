"""Our ChatGLM2 is the architecture: transformers' GLM, written independently, gives the same logits."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock

TRANSFORMERS = "transformers==5.23.0"
MODULE = Path(__file__).parents[2] / "provisioner" / "validate" / "probe" / "chatglm2.py"
ORACLE = Path(__file__).with_name("glm_oracle.py")


@pytest.fixture(scope="session")
def glm_site(torch_python: Path) -> Path:
    """A folder with a transformers new enough to have GLM, beside an environment that has torch."""
    folder = Path(platformdirs.user_cache_dir("provision-tests")) / TRANSFORMERS.replace("==", "-")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            # environments that provision built have no pip, so it is ours that installs for their Python
            pip = (sys.executable, "-m", "pip", "--python", str(torch_python), "install", "-q")
            command = [*pip, "--target", str(folder), "numpy==1.26.4", TRANSFORMERS]
            subprocess.run(command, check=True, capture_output=True)
            (folder / "ready").touch()
    return folder


@pytest.mark.torch
@pytest.mark.slow
def test_chatglm2_agrees_with_an_independent_implementation(
    torch_python: Path, glm_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The largest difference of logits in fp32 is rounding, with and without cache; positions matter."""
    start = f"import sys, runpy; sys.path.insert(0, {str(glm_site)!r}); sys.argv = sys.argv[1:]; "
    done = subprocess.run(
        [
            torch_python,
            "-I",
            "-c",
            f"{start}runpy.run_path(sys.argv[0], run_name='__main__')",
            ORACLE,
            MODULE,
        ],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    with capsys.disabled():
        sys.stdout.write(f"\nChatGLM2 against transformers' GLM in fp32: {result}\n")
    assert result["largest_logit"] > 1
    assert result["difference"] < 5e-5
    assert result["cached_difference"] < 5e-5
    assert result["unrotated_difference"] > 0.5
