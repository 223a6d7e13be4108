"""The evidence as a table for `docs/evidence/README.md`."""

from collections.abc import Sequence

from provisioner.diagnose.evidence.form import Evidence
from provisioner.diagnose.evidence.proof import COLUMNS, list_rows

BEGIN, END = "<!-- table: scripts/add-evidence -->\n", "<!-- end of table -->\n"
_HEAD = ("profile", "precision", "card", "driver", "verdict", *COLUMNS, "date", "file")


def render_table(evidence: Sequence[Evidence]) -> str:
    """Return the table of all reports in Markdown."""
    rows = [_HEAD, tuple("---" for _ in _HEAD), *list_rows(evidence)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def replace_table(page: str, evidence: Sequence[Evidence]) -> str:
    """Return the page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{render_table(evidence)}{END}{after}"
