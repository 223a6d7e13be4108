"""Check who signed a file: its attestations against the certificates and logs of Sigstore (PEP 740).

The library is an extra, and this module cannot be imported without it: it brings 30 packages and 60 MB, and
most users never ask.
"""

import logging

from pydantic import ValidationError
from pypi_attestations import AttestationError, Distribution, Provenance, VerificationError

from provisioner.engines.index.provenance import find_publisher
from provisioner.errors import InstallError


def check_attestations(body: bytes, *, filename: str, sha256: str) -> str:
    """Return the publishers of a file; each attestation is checked against the file's name and digest.

    Each signature must be of the publisher beside it, its certificate of Sigstore's authority and valid when
    the signature was made, and the transparency log must have it. The keys that are trusted are those that
    the installed `sigstore` has; nothing is fetched.

    Args:
        body: The provenance document, as the index gave it.
        filename: The wheel's or source archive's name.
        sha256: Lower-case hex digest of the locked file.

    Raises:
        InstallError: ``install.attestation``: one of them does not hold, or the document is none.
    """
    # "loaded in offline mode" is what was asked for.
    logging.getLogger("sigstore").setLevel(logging.ERROR)
    try:
        provenance = Provenance.model_validate_json(body)
        _verify(provenance, Distribution(name=filename, digest=sha256))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _invalid(filename, sha256, f"the document is no provenance: {place}: {first['msg']}") from error
    except (AttestationError, ValueError) as error:
        # Certificates are the index's bytes, too: their readers raise ValueErrors of their own.
        raise _invalid(filename, sha256, str(error)) from error
    publisher = find_publisher(body)
    if publisher is None:
        raise _invalid(filename, sha256, "it names no publisher")
    return publisher


def _verify(provenance: Provenance, file: Distribution) -> None:
    for bundle in provenance.attestation_bundles:
        for attestation in bundle.attestations:
            attestation.verify(bundle.publisher, file, offline=True)
    if not any(bundle.attestations for bundle in provenance.attestation_bundles):
        raise VerificationError("it holds no attestation")


def _invalid(filename: str, sha256: str, reason: str) -> InstallError:
    return InstallError(
        "install.attestation",
        f"an attestation of `{filename}` does not hold: {reason.splitlines()[0]}",
        hints=[
            "find out which of the two is wrong before installing: the file, or what the index says of it",
            "bring `sigstore` up to date where the certificates are newer than it",
        ],
        context={"filename": filename, "sha256": sha256},
    )
