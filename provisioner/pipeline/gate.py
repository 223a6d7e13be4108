"""What `create` asks of the machine before the first byte is downloaded."""

from provisioner.diagnose.machine.gate import find_gpu_class, find_obstacle, wanted_host
from provisioner.engines.machine.host import gather_host
from provisioner.pipeline.settings import Settings, host_platform
from provisioner.profile.model import Profile


def judge_machine(settings: Settings, profile: Profile, *, enforce: bool) -> str | None:
    """Return the class of this machine's GPU as an XPU profile names it; None where there is none.

    Raises:
        InstallError: The disk has no room.
        UnvalidatedError: There is no GPU that the built environment could be validated on.
    """
    facts = gather_host(target=settings.data, variables=settings.environ)
    if enforce:
        wanted = wanted_host(profile, platform=host_platform())
        obstacle = find_obstacle(facts, wanted, profile=profile.name)
        if obstacle is not None:
            raise obstacle
    return find_gpu_class(facts)
