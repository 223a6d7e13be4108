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
    freed = removed.freed_bytes
    kernel = ", and its Jupyter kernel" if len(removed.removed) > 1 else ""
    return Result(
        data={"removed": environment, "freed_bytes": freed},
        text=f"{environment}: removed{kernel}, {format_bytes(freed)} freed; downloads are kept",
    )
