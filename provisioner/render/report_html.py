"""A report as one self-contained page that a person can send to a colleague: no script, nothing loaded."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template

from provisioner.render.page import bullets, prose, section, write_page
from provisioner.validate.model import JSON, CheckRecord, Report, Status, Verdict
from provisioner.validate.stages import STAGES

_HEADLINES = {
    Verdict.PASSED: "The model runs",
    Verdict.FAILED: "The model does not run",
    Verdict.UNVALIDATED: "Not validated: the device is absent",
}
_FIRST_PACKAGES = (
    "python",
    "torch",
    "intel-extension-for-pytorch",
    "ipex-llm",
    "transformers",
    "tokenizers",
    "accelerate",
    "numpy",
)
_STYLE = """\
:root { --verdict: var(--$colour); }
.bars { list-style: none; margin: 0; padding: 0; }
.bars li { display: grid; grid-template-columns: 8em 1fr 5em; gap: 10px; align-items: center; }
.bars span { overflow-wrap: anywhere; }
.bars .soft { text-align: right; font-variant-numeric: tabular-nums; }
.bars i { display: block; height: 14px; border-radius: 2px; background: var(--bar); }
.bars .failed i { background: var(--failed); }
.bars .error i { background: var(--error); }
@media (max-width: 640px) {
  .bars li { grid-template-columns: 6.5em 1fr 4.5em; gap: 6px; }
  .checks thead { display: none; }
  .checks tr { display: grid; grid-template-columns: 1fr auto auto; border-bottom: 1px solid var(--line); }
  .checks td { border: 0; padding: 6px 8px 2px 0; }
  .checks td:last-child { grid-column: 1 / -1; min-width: 0; }
}
"""


def write_html(report: Report, *, notices: Sequence[str] = (), uses: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        report: What was measured.
        notices: What the terminal tells besides: an archived stack, a recognised failure.
        uses: Commands that use the environment.
    """
    title = f"{report.environment}: {report.verdict.value}"
    colour = "error" if report.verdict is Verdict.UNVALIDATED else report.verdict.value
    body = "".join(
        (
            _header(report),
            bullets(notices),
            _figures(report),
            _use(uses),
            section("Where the time went", f'<div class="card">{_chart(report.records)}</div>'),
            section("Checks", f'<div class="card">{_checks(report.records)}</div>'),
            _not_proven(report),
            section("Versions", f'<div class="card">{_versions(report.versions)}</div>'),
            section("Device", f'<div class="card"><pre>{_json(report.device)}</pre></div>'),
            _output(report),
            _footer(report),
        )
    )
    return write_page(title=title, body=body, style=Template(_STYLE).substitute(colour=colour))


def _header(report: Report) -> str:
    device = str(report.device.get("name") or report.device.get("asked", ""))
    model = f"{report.family} in {report.precision} through {report.backend}"
    parts = [
        f'<header><p class="badge">{escape(report.verdict.value)}</p>',
        f"<h1>{escape(_HEADLINES[report.verdict])}</h1>",
        f"<p>{escape(report.environment)} · {escape(model)} · {escape(device)}</p>",
    ]
    if report.reason is not None:
        parts.append(f"<p><strong>{escape(report.stage or '')}</strong>: {prose(report.reason)}</p>")
    parts.append(bullets(report.hints))
    return "".join(parts) + "</header>\n"


def _figures(report: Report) -> str:
    """Show the few numbers that a reader looks for first."""
    measured = {record.name: record.measured for record in report.records}
    generation, comparison = measured.get("generation", {}), measured.get("comparison", {})
    speed, forward = measured.get("speed", {}), measured.get("forward", {})
    warm: Mapping[str, JSON] = speed.get("warm", {})
    figures = {
        "Prompt": _quote(measured.get("weights", {}).get("prompt")),
        "Continuation": _quote(generation.get("text")),
        "Difference from fp32": _number(comparison.get("relative_difference"), "{:.3g}"),
        "Prefill, warm": _number(warm.get("prefill_tokens_per_second"), "{:.1f} tokens/s"),
        "Decoding, warm": _number(warm.get("decode_tokens_per_second"), "{:.1f} tokens/s"),
        "First forward": _number(forward.get("first_call_seconds"), "{:.2f} s"),
        "All checks": f"{report.seconds:.1f} s",
    }
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in figures.items()
        if value
    )
    return f'<dl class="card figures">{shown}</dl>\n'


def _use(commands: Sequence[str]) -> str:
    if not commands:
        return ""
    lines = escape("\n".join(commands))
    return section("Use it", f'<div class="card"><pre>{lines}</pre></div>')


def _chart(records: Iterable[CheckRecord]) -> str:
    """Draw one bar per check that ran, to one scale, with its seconds beside it."""
    ran = [record for record in records if record.status is not Status.SKIPPED]
    longest = max((record.seconds for record in ran), default=0.0) or 1.0
    rows = (
        f'<li class="{record.status.value}"><span>{escape(record.name)}</span>'
        f'<span class="bar"><i style="width: {max(100 * record.seconds / longest, 0.5):.1f}%"></i></span>'
        f'<span class="soft">{record.seconds:.2f} s</span></li>'
        for record in ran
    )
    return f'<ol class="bars">{"".join(rows)}</ol>'


def _checks(records: Iterable[CheckRecord]) -> str:
    rows = []
    for record in records:
        details = f"<p>{prose(record.reason)}</p>{bullets(record.hints)}" if record.reason else ""
        if record.measured:
            details += f"<details><summary>measured</summary><pre>{_json(record.measured)}</pre></details>"
        meaning = escape(STAGES[record.name].meaning)
        seconds = "" if record.status is Status.SKIPPED else f"{record.seconds:.2f}"
        status = record.status.value
        rows.append(
            f'<tr><td>{escape(record.name)}</td><td class="status {status}">{status}</td>'
            f'<td class="number">{seconds}</td><td><span class="soft">{meaning}</span>{details}</td></tr>'
        )
    head = '<tr><th>Check</th><th>Status</th><th class="number">Seconds</th><th>What it checks</th></tr>'
    return f'<table class="checks"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'


def _versions(versions: Mapping[str, str]) -> str:
    first = {name: versions[name] for name in _FIRST_PACKAGES if name in versions}
    rest = {name: version for name, version in sorted(versions.items()) if name not in first}
    more = f"<details><summary>{len(rest)} more</summary>{_pairs(rest)}</details>" if rest else ""
    return _pairs(first) + more


def _pairs(values: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(value)}</code></td></tr>"
        for name, value in values.items()
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _not_proven(report: Report) -> str:
    if not report.not_proven:
        return ""
    return section("What this does not prove", f'<div class="card">{bullets(report.not_proven)}</div>')


def _output(report: Report) -> str:
    if not report.output:
        return ""
    return section("Output of the probe", f'<div class="card"><pre>{escape(report.output)}</pre></div>')


def _footer(report: Report) -> str:
    lock = f" · lock <code>{escape(report.lock_fingerprint)}</code>" if report.lock_fingerprint else ""
    made = f"made by provision {escape(report.tool_version)} at {escape(report.created_at)}"
    return f'<p class="soft">{made}{lock}</p>\n'


def _json(value: JSON) -> str:
    return escape(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _number(value: JSON, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else ""


def _quote(text: JSON) -> str:
    return f"“{str(text).strip()}”" if text else ""
