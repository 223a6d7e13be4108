"""What an exception of the validation probe means: the catalogue's answer, in validation's words."""

from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.errors import Problem

_PROBE_MARK = "raised in the validation probe"
"""Entries for messages that any program may print require this, so that no pasted log shows it by chance."""


def recognise_error(text: str) -> Problem | None:
    """Return the cause of an exception, None where the catalogue has no word for it.

    Args:
        text: Type and message, as Python prints them.
    """
    catalogue = load_catalogue()
    for match in explain_text([f"{_PROBE_MARK}: {text}"], catalogue):
        failure = catalogue.failures[match.id]
        if failure.code is not None:
            return Problem(code=failure.code, message=failure.title, hints=failure.hints)
    return None
