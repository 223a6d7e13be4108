"""What a built prefix tells other tools: that we manage it, and which variables it needs.

A virtual environment has none: pip and uv read the marker of Python's standard library, which a virtual
environment borrows. There the programs of the stable path answer (`provisioner.install.launchers`).
"""

import json
from collections.abc import Mapping
from pathlib import Path

from provisioner.install.conda_scripts import format_conda_scripts, split_variables
from provisioner.install.plan import InstallPlan
from provisioner.install.prefix_layout import WINDOWS

_WORDS = (
    "`{name}` is built from a lock and proven by a model; what is installed beside the lock is proven by "
    "nothing. Run `provision add {profile} PACKAGE` instead, or `provision add {profile} --conda PACKAGE`."
)
_STATE_VERSION = 1


def format_markers(plan: InstallPlan, prefix: Path, *, stdlib: Path) -> dict[Path, str]:
    """Return the markers of a conda prefix: file to text.

    ``EXTERNALLY-MANAGED`` stops pip and uv (PEP 668), ``conda-meta/frozen`` conda and mamba (CEP 22);
    ``conda-meta/state`` has the variables that they set on activation, and scripts in ``etc/conda`` set those
    that they would not take literally.

    Args:
        plan: What was built.
        prefix: Its folder, for ``{prefix}`` in values.
        stdlib: The folder of Python's standard library in there.
    """
    words = _WORDS.format(name=plan.environment, profile=plan.profile)
    variables = {key: value.replace("{prefix}", str(prefix)) for key, value in plan.env.items()}
    literal, others = split_variables(variables, windows=plan.platform == WINDOWS)
    state = {"version": _STATE_VERSION, "env_vars": literal | {"PYTHONNOUSERSITE": "1"}}
    scripts = {prefix / "etc" / "conda" / place: text for place, text in format_conda_scripts(others).items()}
    return scripts | {
        stdlib / "EXTERNALLY-MANAGED": f"[externally-managed]\nError={words.replace('%', '%%')}\n",
        prefix / "conda-meta" / "frozen": json.dumps({"message": words}) + "\n",
        prefix / "conda-meta" / "state": json.dumps(state) + "\n",
    }


def write_markers(markers: Mapping[Path, str]) -> None:
    """Write the markers; a package that brought one keeps its own.

    Raises:
        OSError: One could not be written.
    """
    for path, text in markers.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
