"""Make a lock out of a resolution."""

from provisioner.errors import InternalError
from provisioner.ground.names import DEFAULT_INDEX, channel_address
from provisioner.lock.fingerprint import FINGERPRINT_VERSION, fingerprint, fingerprint_inputs
from provisioner.lock.model import Lock, LockedPlatform
from provisioner.profile.model import Profile
from provisioner.resolve.model import PlatformResolution, Resolution


def make_lock(profile: Profile, resolution: Resolution, source: str) -> Lock:
    """Return the lock of a resolved profile.

    ``source`` is the profile's path relative to the lockfile's folder. The order of the profile's and the
    resolution's lists has no influence, but for that of channels.

    Raises:
        InternalError: The resolution does not answer this profile.
    """
    resolved = {platform.platform: platform for platform in resolution.platforms}
    wanted = [platform.name for platform in profile.platforms]
    if resolution.profile != profile.name or sorted(resolved) != sorted(wanted):
        raise InternalError(
            "lock.incomplete",
            f"the resolution of `{resolution.profile}` for {sorted(resolved)} does not answer profile"
            f" `{profile.name}` for {sorted(wanted)}",
        )
    used = {package.index for platform in resolved.values() for package in platform.pip} - {DEFAULT_INDEX}
    return Lock(
        profile=profile.name,
        source=source.replace("\\", "/"),
        platforms=tuple(_lock_platform(profile, resolved[name]) for name in sorted(wanted)),
        channels=tuple(
            dict.fromkeys(
                channel_address(channel)
                for platform in profile.platforms
                if platform.conda
                for channel in platform.channels
            )
        ),
        indexes={
            index.name: index.url
            for index in sorted(profile.indexes, key=lambda index: index.name)
            if index.name in used
        },
        inputs=fingerprint_inputs(profile),
        notes=tuple(sorted(resolution.notes)),
        fingerprint_version=FINGERPRINT_VERSION,
    )


def _lock_platform(profile: Profile, resolution: PlatformResolution) -> LockedPlatform:
    return LockedPlatform(
        platform=resolution.platform,
        fingerprint=fingerprint(profile, resolution.platform),
        conda=tuple(sorted(resolution.conda, key=lambda package: package.name)),
        pip=tuple(sorted(resolution.pip, key=lambda package: (package.name, package.validation))),
    )
