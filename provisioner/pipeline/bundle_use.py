"""Build environments from a bundle, where there is no network: what a job finds in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from provisioner.engines.archive.bundle import BundleReader
from provisioner.engines.archive.bundle_manifest import ENVS, LOCKFILES, Manifest
from provisioner.errors import UsageError
from provisioner.ground.scratch import hold_scratch
from provisioner.ground.text import did_you_mean
from provisioner.ground.yaml_reader import MAX_BYTES as LONGEST_PROFILE
from provisioner.lock.conda_lock_v1 import MAX_BYTES as LONGEST_LOCKFILE
from provisioner.pipeline.settings import Settings


@contextmanager
def hold_bundle(settings: Settings, path: Path, profile: str | None) -> Iterator[tuple[Settings, str]]:
    """Yield settings with which a job finds everything in a bundle and nothing in a network, and a profile.

    Args:
        settings: The settings of this machine.
        path: The bundle.
        profile: Name of the profile; None: the only one that the bundle has.

    Raises:
        InstallError: ``install.bundle``: it is refused.
        UsageError: There is no such bundle, or no such profile in it.
    """
    with BundleReader(path) as reader, hold_scratch("bundle") as folder:
        name = _choose_profile(reader.manifest, path, profile)
        unpack_texts(reader, folder)
        yield (
            replace(
                settings,
                profile_folders=(folder / ENVS,),
                lockfiles=folder / LOCKFILES,
                offline=True,
                bundle=path.absolute(),
            ),
            name,
        )


def unpack_texts(reader: BundleReader, folder: Path) -> None:
    """Write profiles and lockfiles into a folder of ours; their paths were checked with the manifest."""
    for file in reader.manifest.files:
        if file.path.startswith((f"{ENVS}/", f"{LOCKFILES}/")):
            longest = LONGEST_PROFILE if file.path.startswith(f"{ENVS}/") else LONGEST_LOCKFILE
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(reader.read(file.path, max_bytes=longest))


def _choose_profile(manifest: Manifest, path: Path, asked: str | None) -> str:
    known = ", ".join(f"`{name}`" for name in manifest.profiles)
    if asked is None and len(manifest.profiles) == 1:
        return manifest.profiles[0]
    if asked in manifest.profiles:
        return asked
    why = (
        f"has no profile `{asked}`{did_you_mean(asked, manifest.profiles)}"
        if asked
        else "has several profiles"
    )
    raise UsageError(
        "usage.bundle_profile",
        f"the bundle `{path}` {why}; it has {known}",
        hints=["name one of its profiles"],
        context={"bundle": str(path), "profiles": list(manifest.profiles)},
    )
