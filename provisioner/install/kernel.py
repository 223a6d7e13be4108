"""The Jupyter kernel of an environment: a specification that starts its stable path, whatever the generation.

<Jupyter's data folder>/kernels/provision-<name>/kernel.json

Source: Jupyter's "Making kernels for Jupyter" and "Common Directories and File Locations".
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from provisioner.ground.files import read_file
from provisioner.install.activation import plan_activation
from provisioner.install.generations import Generation
from provisioner.install.prefix_layout import WINDOWS, find_path_entries
from provisioner.install.stable_path import find_stable

KERNEL_PACKAGE = "ipykernel"
SPEC_NAME = "kernel.json"
_OURS = "provision"
_MAX_BYTES = 1 << 20
_NO = {"", "no", "n", "false", "off", "0", "0.0"}


def find_kernel_folder(environ: Mapping[str, str], name: str) -> Path:
    """Return where an environment's kernel lies, for the user alone."""
    if named := environ.get("JUPYTER_DATA_DIR"):
        data = Path(named).absolute()
    else:
        # without its variable Jupyter keeps to the roaming folder on Windows; elsewhere they are the same
        local = environ.get("JUPYTER_PLATFORM_DIRS", "").lower() not in _NO
        data = Path(platformdirs.user_data_dir("jupyter", appauthor=False, roaming=not local))
    return data / "kernels" / f"provision-{name}"


def format_kernel(generation: Generation) -> str:
    """Return the specification's text.

    The stable ``python`` sets the variables of the generation that it starts. Windows has no such program, so
    there they stand in the specification, which is as old as its last writing.
    """
    receipt = generation.receipt
    stable = find_stable(generation)
    spec: dict[str, Any] = {
        "argv": [str(stable.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"{receipt.environment} (provision)",
        "language": "python",
        "metadata": {"debugger": True, _OURS: {"environment": str(stable.link.parent)}},
    }
    if receipt.platform == WINDOWS:
        path = find_path_entries(stable.link, base=receipt.base, platform=receipt.platform)
        activation = plan_activation(receipt, path=(*path, stable.launchers), prefix=str(stable.link))
        folders = ";".join((*map(_escape, activation.path), "${PATH}"))
        spec["env"] = {name: _escape(value) for name, value in activation.variables.items()} | {
            "PATH": folders
        }
    return json.dumps(spec, indent=1) + "\n"


def read_kernel_owner(folder: Path) -> Path | None:
    """Return the folder of the environment that a kernel starts; None where it is none of ours.

    Raises:
        OSError: It could not be read.
    """
    try:
        spec = json.loads(read_file(folder / SPEC_NAME, max_bytes=_MAX_BYTES))
        return Path(spec["metadata"][_OURS]["environment"])
    except (ValueError, LookupError, TypeError):
        return None


def _escape(value: str) -> str:
    """Return a value that Jupyter's templates leave as it is."""
    return value.replace("$", "$$")
