"""One machine of a fleet, and what is known of it."""

from dataclasses import dataclass
from enum import StrEnum

from provisioner.diagnose.failures.answer import Match
from provisioner.diagnose.machine.facts import HostFacts
from provisioner.validate.model import Report


class Status(StrEnum):
    """How a machine ended, the worst first; only ``passed`` is good.

    ``error``: it was reached, and nothing could be built or asked there. ``missing``: it should have answered
    and there is no file of it. ``unknown``: its file cannot be believed.
    """

    FAILED = "failed"
    ERROR = "error"
    UNREACHABLE = "unreachable"
    MISSING = "missing"
    UNKNOWN = "unknown"
    UNVALIDATED = "unvalidated"
    PASSED = "passed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """One machine and one profile; every text is one line of printable characters.

    Attributes:
        host: Its name in the inventory.
        reason: Why it did not pass.
        code: Cause in one dotted word, where the machine's error had one.
        hints: What to do, as the machine's own error says.
        card: What the model ran on; else the GPU that `doctor` saw.
        driver: Its driver, as far as it is known.
        prefill_tokens_per_second: Warm, of the small model; None where it was not measured.
        decode_tokens_per_second: The same, for one sequence.
        lock_fingerprint: Of what was installed.
        gathered_at: When the file was written, ISO 8601 in UTC.
        facts: System, cards and drivers, as far as `doctor` told them.
        known: Rows of the ledger that apply there, by their id.
        log: What there is to recognise a failure in, where there is no report; it may have many lines.
        matches: Known failures that report or log show, the root first.
        notes: What a reader should know beside the verdict, one sentence each.
    """

    host: str
    profile: str
    status: Status
    reason: str | None = None
    code: str | None = None
    hints: tuple[str, ...] = ()
    exit_code: int | None = None
    changed: bool = False
    device: str | None = None
    card: str | None = None
    driver: str | None = None
    prefill_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None
    lock_fingerprint: str | None = None
    tool_version: str | None = None
    gathered_at: str | None = None
    facts: HostFacts | None = None
    known: tuple[str, ...] = ()
    report: Report | None = None
    log: str = ""
    matches: tuple[Match, ...] = ()
    notes: tuple[str, ...] = ()
