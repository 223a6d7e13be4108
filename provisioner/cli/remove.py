"""``provision remove``: remove an environment."""

from provisioner.cli.options import argument, lock_timeout_flag, settings_flags, verb
from provisioner.pipeline.clean import remove
from provisioner.pipeline.settings import Settings
from provisioner.render.amounts import format_bytes
from provisioner.render.result import Result


@verb("remove")
@argument("environment", metavar="ENVIRONMENT")
@lock_timeout_flag
@settings_flags
def command(*, settings: Settings, environment: str, lock_timeout: float) -> Result:
    """Remove an ENVIRONMENT with all its generations; downloads stay."""
    removed = remove(settings, environment, lock_timeout_s=lock_timeout)
    kernel = ", and its Jupyter kernel" if removed.kernel else ""
    lines = [
        f"{environment}: removed{kernel}, {format_bytes(removed.freed_bytes)} freed; downloads are kept",
        *(
            f"  `{path}` still names its interpreter; to take it out:"
            f' provision integrate {environment} --remove --folder "{path.parents[1]}"'
            for path in removed.settings
        ),
    ]
    data = {
        "removed": environment,
        "freed_bytes": removed.freed_bytes,
        "settings": [str(path) for path in removed.settings],
    }
    return Result(data=data, text="\n".join(lines))
