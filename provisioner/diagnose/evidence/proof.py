"""What evidence says of a profile: where it is proven, where it failed, and which card nobody reported."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provisioner.diagnose.evidence.form import Evidence
from provisioner.profile.model import Device, Profile
from provisioner.validate.model import Verdict

_WORDS = (
    ("proven on", Verdict.PASSED, True),
    ("failed on", Verdict.FAILED, True),
    ("its checks passed with other wheels on", Verdict.PASSED, False),
    ("its checks failed with other wheels on", Verdict.FAILED, False),
)
COLUMNS = {
    "difference": ("comparison.relative_difference", ".4f"),
    "of the file": ("comparison.relative_difference_of_file", ".3f"),
    "width": ("width.relative_difference", ".4f"),
    "MiB at width": ("width.peak_mib", ".0f"),
    "prefill/s": ("speed.prefill_tokens_per_second", ".0f"),
    "decode/s": ("speed.decode_tokens_per_second", ".1f"),
}
"""Column of the table to the figure in it and its form."""
_ANY = {"xpu": "Intel GPU", "cpu": None, "cuda": None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What is known of one profile.

    Attributes:
        reports: That speak for it, the newest first; one without a profile speaks for its precision.
        card: What a report is wanted from: this machine's card, or any Intel GPU; None: the CPU's profile.
    """

    profile: str
    reports: tuple[Evidence, ...]
    card: str | None = None

    @property
    def cards(self) -> tuple[str, ...]:
        """On which cards the profile itself has passed, the newest report first."""
        passed = [
            each for each in self.reports if each.verdict is Verdict.PASSED and each.profile is not None
        ]
        return tuple(dict.fromkeys(each.card for each in passed))

    def describe(self, *, fingerprint: str | None = None) -> str:
        """Return one sentence; with the fingerprint of a plan it says where the lock was another one."""
        told = [
            f"{words} {', '.join(dict.fromkeys(places))}"
            for words, verdict, own in _WORDS
            if (
                places := [
                    _describe_place(each, fingerprint)
                    for each in self.reports
                    if each.verdict is verdict and (each.profile is not None) is own
                ]
            )
        ]
        if self.card is not None and not any(
            self.card in {each.card, _ANY[each.kind]} for each in self.reports
        ):
            article = "an" if self.card[0] in "AEIOU" else "a"
            told.append(f"no report from {article} {self.card} yet")
        return "; ".join(told) or "no report yet"


def find_proof(evidence: Iterable[Evidence], profile: Profile, *, card: str | None = None) -> Proof:
    """Return what evidence says of a profile; this machine's ``card`` counts for GPU profiles alone."""
    reports = [each for each in evidence if _speaks_for(each, profile)]
    return Proof(
        profile=profile.name,
        reports=tuple(sorted(reports, key=lambda each: each.date, reverse=True)),
        card=(card or _ANY["xpu"]) if profile.device is Device.XPU else None,
    )


def list_rows(evidence: Sequence[Evidence]) -> list[tuple[str, ...]]:
    """Return the table's rows: profile, precision, card, driver, verdict, the figures, date, file; sorted."""
    return sorted(
        (
            each.profile or f"none ({each.family})",
            each.precision,
            each.card,
            each.driver or "",
            each.verdict.value,
            *(
                f"{each.figures[name]:{form}}" if name in each.figures else ""
                for name, form in COLUMNS.values()
            ),
            each.date,
            f"`{each.file}`",
        )
        for each in evidence
    )


def _speaks_for(evidence: Evidence, profile: Profile) -> bool:
    if evidence.profile is not None:
        return evidence.profile == profile.name
    wanted = profile.validation
    return (evidence.family, evidence.backend, evidence.precision) == (
        profile.family,
        wanted.backend,
        wanted.precision,
    )


def _describe_place(evidence: Evidence, fingerprint: str | None) -> str:
    other = evidence.profile and fingerprint and evidence.lock_fingerprint != fingerprint
    return f"{evidence.card} ({evidence.date}{', with another lock' if other else ''})"
