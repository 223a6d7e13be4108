"""Write one platform of a lock as a software bill of materials: CycloneDX 1.6, JSON.

The same lock gives the same bytes: the serial number is made from the platform's fingerprint, and there is no
time of day. Package URLs follow https://github.com/package-url/purl-spec.
"""

from collections.abc import Mapping
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from provisioner.ground.names import DEFAULT_INDEX
from provisioner.lock.graph import find_needs, list_packages
from provisioner.lock.model import Lock, LockedPlatform
from provisioner.resolve.model import CondaPackage, PipPackage

Package = CondaPackage | PipPackage


def format_sbom(lock: Lock, platform: LockedPlatform) -> str:
    """Return the document: every locked file with its sha256, and who needs whom.

    Validation assets are data that no program imports: their scope is ``optional``.
    """
    root = Component(
        name=lock.profile, type=ComponentType.APPLICATION, bom_ref=f"{lock.profile}@{platform.platform}"
    )
    packages = list_packages(platform)
    components = {key: _make_component(package, lock.indexes) for key, package in packages.items()}
    bom = Bom(components=components.values(), serial_number=uuid5(NAMESPACE_URL, platform.fingerprint))
    bom.metadata = BomMetaData(
        component=root, properties=[Property(name="provision:platform", value=platform.platform)]
    )
    bom.register_dependency(root, components.values())
    for key, needs in find_needs(platform).items():
        bom.register_dependency(components[key], [components[need] for need in needs])
    document = JsonV1Dot6(bom)
    # The library stamps the time of the call; what is described has not changed since it was locked.
    bom.metadata.timestamp = None  # type: ignore[assignment] # the format lets it be absent
    return document.output_as_string(indent=2) + "\n"


def find_purl(package: Package, indexes: Mapping[str, str]) -> PackageURL:
    """Return a package's URL; ``indexes`` maps a profile's index names to addresses."""
    if isinstance(package, CondaPackage):
        qualifiers = {
            "build": package.build,
            "channel": package.url.rsplit("/", 3)[1],
            "subdir": package.subdir,
            "type": "conda" if package.filename.endswith(".conda") else "tar.bz2",
        }
        return PackageURL("conda", name=package.name, version=package.version, qualifiers=qualifiers)
    qualifiers = {"file_name": package.filename}
    if package.index != DEFAULT_INDEX:
        qualifiers["repository_url"] = indexes[package.index]
    return PackageURL("pypi", name=package.name, version=package.version, qualifiers=qualifiers)


def _make_component(package: Package, indexes: Mapping[str, str]) -> Component:
    purl = find_purl(package, indexes)
    asset = isinstance(package, PipPackage) and package.validation
    references = (
        [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(package.url))]
        if "://" in package.url
        else []
    )
    sizes = [] if package.size is None else [Property(name="provision:size", value=str(package.size))]
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        scope=ComponentScope.OPTIONAL if asset else ComponentScope.REQUIRED,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)],
        external_references=references,
        properties=sizes,
    )
