"""What of other tools' files a profile takes, and why not the rest: ten files in the shape of public ones."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from provisioner.ground.yaml_reader import read_yaml
from provisioner.profile.foreign.collect import Collection
from provisioner.profile.foreign.environment_yml import read_conda_lock, read_environment
from provisioner.profile.foreign.project_toml import read_pixi, read_pyproject
from provisioner.profile.foreign.requirements import read_requirements

DATA = Path(__file__).parents[2] / "data" / "foreign"
BROUGHT = {"transformers": "llama3-torch-cpu", "bitsandbytes": "llama3-torch-cpu"}


def collect(name: str) -> Collection:
    """Read one of the files for a stack with Python 3.11."""
    found = Collection(python="3.11", brought=BROUGHT)
    text = (DATA / name).read_text()
    if name.endswith(".txt"):
        read_requirements(text, found)
    elif name.endswith(".toml"):
        (read_pixi if name == "pixi.toml" else read_pyproject)(tomllib.loads(text), text, found)
    else:
        root, problems = read_yaml(text.encode(), name)
        assert root is not None, problems
        (read_conda_lock if name == "conda-lock.yml" else read_environment)(root, found)
    return found


# name: (what the profile says, {line: a word of the reason})
TABLE: dict[str, tuple[dict[str, Any], dict[int, str]]] = {
    "diffusion.environment.yml": (
        {
            "name": "diffusion",
            "python": "3.10",
            "channels": ["conda-forge"],
            "conda": {"": ["numpy=1.26", "ffmpeg"]},
            "pip": {"": ["diffusers==0.27.2"]},
            "env": {"HF_HOME": "models"},
        },
        {
            3: "torch",
            4: "torch",
            6: "torch",
            9: "package managers",
            10: "stack's",
            11: "NVIDIA",
            12: "stack's",
            17: "run your own code",
            18: "`llama3-torch-cpu` brings it",
            21: "LD_PRELOAD",
        },
    ),
    "science.environment.yml": (
        {
            "name": "science",
            "channels": ["conda-forge"],
            "conda": {"": ["pandas >=2,<3", "scipy=1.11.4", "matplotlib-base"]},
        },
        {
            3: "default channels",
            5: "one version",
            7: "channel",
            10: "not a conda package",
            11: "chooses",
        },
    ),
    "webui.requirements.txt": (
        {
            "pip": {
                "": ["gradio==4.26.*", "markdown", "sentencepiece"],
                "win-64": ["pywin32"],
                "linux-64": ["uvloop>=0.19"],
            }
        },
        {2: "indexes", 3: "stack's", 8: "marker is false", 9: "names a file"},
    ),
    "service.requirements.txt": (
        {"pip": {"": ["fastapi[standard]<1,>=0.110", "uvicorn==0.29.0"]}},
        {
            1: "another file",
            2: "no constraints",
            6: "`uvicorn==0.29.0`, too",
            7: "names a file",
            8: "names a file",
            9: "no requirement",
            10: "variable",
            11: "NVIDIA",
        },
    ),
    "app.pyproject.toml": (
        {"name": "app", "pip": {"": ["httpx>=0.27", "rich", "mylib"]}},
        {2: "not installed", 7: "brings it", 12: "no groups", 15: "no groups", 18: "locked from indexes"},
    ),
    "poetry.pyproject.toml": (
        {"name": "chat", "pip": {"": ["openai<2,>=1.30", "tiktoken<0.8,>=0.7.0", "pydantic"]}},
        {9: "extras", 10: "Poetry's own"},
    ),
    "pixi.toml": (
        {
            "name": "robot",
            "channels": ["conda-forge"],
            "conda": {"": ["numpy <2", "cmake"], "linux-64": ["libgl"]},
            "pip": {"": ["supervision==0.20.0"]},
            "env": {"OMP_NUM_THREADS": "4"},
        },
        {
            3: "torch",
            4: "builds on",
            9: "only name and version",
            14: "locked from indexes",
            19: "builds on",
            26: "no tasks",
            28: "one set",
        },
    ),
    "pixi-in.pyproject.toml": (
        {"name": "lab", "channels": ["conda-forge"], "conda": {"": ["htop"]}, "pip": {"": ["seaborn"]}},
        {2: "not installed", 3: "Python 3.11"},
    ),
    "conda-lock.yml": (
        {"python": "3.10", "channels": ["conda-forge"], "pip": {"linux-64": ["pyyaml==6.0.1"]}},
        {8: "no package that a profile names", 26: "builds on"},
    ),
    "ipex.requirements.txt": (
        {"pip": {"": ["streamlit>=1.30", "chromadb"]}},
        {1: "prereleases", 2: "find_links", 3: "stack's", 4: "stack's"},
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_every_line_is_taken_or_has_its_reason(name: str) -> None:
    """What is taken is in the profile's words, and what is not has its line and its reason."""
    found = collect(name)
    said = {
        "name": found.name,
        "python": found.python,
        "channels": found.channels,
        "conda": found.conda,
        "pip": found.pip,
        "env": found.env,
    }
    wanted, left = TABLE[name]
    empty: dict[str, Any] = {
        "name": None,
        "python": "3.11",
        "channels": [],
        "conda": {},
        "pip": {},
        "env": {},
    }
    assert said == empty | wanted
    reasons = {each.line: each.reason for each in found.lines if each.reason}
    assert set(reasons) == set(left), reasons
    for line, word in left.items():
        assert word in reasons[line], (line, reasons[line])


def test_the_table_has_every_file() -> None:
    """No file lies in the folder without its row."""
    assert {path.name for path in DATA.iterdir()} == set(TABLE)
