"""The environment variables of the probe: a few of ours, those of the profile, nothing else.

What is left out is what contaminates: `PYTHONPATH`, `LD_LIBRARY_PATH`, `LD_PRELOAD`, conda's and virtual
environments' own, proxies and tokens.
"""

from pathlib import PurePath, PurePosixPath, PureWindowsPath

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
    windows = isinstance(request.prefix, PureWindowsPath)
    allowed = {*_ALLOWED["windows" if windows else "posix"], *_ALLOWED_EVERYWHERE}
    environment = {name: value for name, value in request.host_env.items() if name.upper() in allowed}
    folders = [str(folder) for folder in find_program_folders(request.prefix)]
    if windows:
        root = next(
            (value for name, value in request.host_env.items() if name.upper() == "SYSTEMROOT"), r"C:\Windows"
        )
        folders += [rf"{root}\System32", root]
        environment |= {"TEMP": scratch, "TMP": scratch}
    else:
        folders += ["/usr/local/bin", "/usr/bin", "/bin"]
        environment["TMPDIR"] = scratch
    environment["PATH"] = (";" if windows else ":").join(folders)
    # transformers copies the code of a user's model folder there, offline or not
    environment["HF_HOME"] = scratch
    environment |= {
        name: value.replace("{prefix}", str(request.prefix)) for name, value in request.env.items()
    }
    return environment | _FIXED


def find_program_folders(prefix: PurePath) -> list[PurePath]:
    """Return the folders with an environment's programs, for a venv and for a conda prefix."""
    if isinstance(prefix, PurePosixPath):
        return [prefix / "bin"]
    return [prefix / "Scripts", prefix, prefix / "Library" / "bin", prefix / "Library" / "usr" / "bin"]


def find_programs(prefix: PurePath, name: str) -> list[PurePath]:
    """Return the places where a program of the environment may be, likeliest first."""
    suffixes = [""] if isinstance(prefix, PurePosixPath) else [".exe", ".bat", ".cmd", ""]
    return [folder / f"{name}{suffix}" for folder in find_program_folders(prefix) for suffix in suffixes]
