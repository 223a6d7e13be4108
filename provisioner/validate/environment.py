"""The environment variables of the probe: a few of ours, those of the profile, nothing else.

What is left out is what contaminates: `PYTHONPATH`, `LD_LIBRARY_PATH`, `LD_PRELOAD`, conda's and virtual
environments' own, proxies and tokens.
"""

from pathlib import Path

from provisioner.install.prefix_layout import find_path_entries
from provisioner.validate.model import ValidationRequest

_ALLOWED = {
    "posix": ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "LANG", "LC_ALL"),
    "windows": (
        "SYSTEMROOT",
        "SYSTEMDRIVE",
        "WINDIR",
        "COMSPEC",
        "PATHEXT",
        "USERNAME",
        "USERPROFILE",
        "LOCALAPPDATA",
        "APPDATA",
        "PROGRAMDATA",
        "PROGRAMFILES",
        "PROGRAMFILES(X86)",
        "NUMBER_OF_PROCESSORS",
        "PROCESSOR_ARCHITECTURE",
    ),
}
_ALLOWED_EVERYWHERE = (
    "ONEAPI_DEVICE_SELECTOR",
    "ZE_AFFINITY_MASK",
    "SYCL_DEVICE_FILTER",
    "CUDA_VISIBLE_DEVICES",
)
_FIXED = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def build_environment(request: ValidationRequest, scratch: str) -> dict[str, str]:
    """Return the whole environment of the probe; ``scratch`` is the folder for its temporary files."""
    allowed = {*_ALLOWED["windows" if request.is_windows else "posix"], *_ALLOWED_EVERYWHERE}
    environment = {name: value for name, value in request.host_env.items() if name.upper() in allowed}
    folders = [str(folder) for folder in _find_folders(request)]
    if request.is_windows:
        root = next(
            (value for name, value in request.host_env.items() if name.upper() == "SYSTEMROOT"), r"C:\Windows"
        )
        folders += [rf"{root}\System32", root]
        environment |= {"TEMP": scratch, "TMP": scratch}
    else:
        folders += ["/usr/local/bin", "/usr/bin", "/bin"]
        environment["TMPDIR"] = scratch
    environment["PATH"] = (";" if request.is_windows else ":").join(folders)
    # transformers copies the code of a user's model folder there, offline or not
    environment["HF_HOME"] = scratch
    if request.backend == "openvino":
        # numpy makes the reference: on a busy machine two spinning threads took 14.8 s for 0.7 s of work.
        environment["OPENBLAS_NUM_THREADS"] = "1"
    environment |= {
        name: value.replace("{prefix}", str(request.prefix)) for name, value in request.env.items()
    }
    return environment | _FIXED


def find_programs(request: ValidationRequest, name: str) -> list[Path]:
    """Return the places where a program of the environment may be, likeliest first."""
    suffixes = [".exe", ".bat", ".cmd", ""] if request.is_windows else [""]
    return [folder / f"{name}{suffix}" for folder in _find_folders(request) for suffix in suffixes]


def _find_folders(request: ValidationRequest) -> tuple[Path, ...]:
    return find_path_entries(request.prefix, base=request.base, platform=request.platform)
