"""A fleet as JUnit XML, which CI systems show: one test case per machine and profile."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from provisioner.diagnose.fleet.machine import Machine, Status
from provisioner.render.report_junit import clean_attributes, clean_text

_FAILURES = {Status.FAILED}


def write_junit(machines: Sequence[Machine]) -> str:
    """Return one ``testsuite``; what is not known of a machine is an error, not a failure."""
    failures = sum(machine.status in _FAILURES for machine in machines)
    passed = sum(machine.status is Status.PASSED for machine in machines)
    attributes = {
        "name": "provision fleet",
        "tests": len(machines),
        "failures": failures,
        "errors": len(machines) - failures - passed,
        "skipped": 0,
    }
    suite = ET.Element("testsuite", clean_attributes(attributes))
    for machine in machines:
        _add_case(suite, machine)
    ET.indent(suite)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suite, encoding="unicode")}\n'


def _add_case(suite: ET.Element, machine: Machine) -> None:
    case = ET.SubElement(
        suite, "testcase", clean_attributes({"classname": machine.profile, "name": machine.host})
    )
    facts = {
        "status": machine.status.value,
        "card": machine.card,
        "driver": machine.driver,
        "decode tokens/s": machine.decode_tokens_per_second,
        "lock": machine.lock_fingerprint,
        "known": " ".join(machine.known),
    }
    properties = ET.SubElement(case, "properties")
    for name, value in facts.items():
        if value not in (None, ""):
            ET.SubElement(properties, "property", clean_attributes({"name": name, "value": value}))
    if machine.status is Status.PASSED:
        return
    tag = "failure" if machine.status in _FAILURES else "error"
    cause = {"message": machine.reason or "", "type": machine.code or machine.status.value}
    problem = ET.SubElement(case, tag, clean_attributes(cause))
    told = [
        f"{match.title} ({match.id})\ncause: {match.cause}\nfix: {match.fix}" for match in machine.matches
    ]
    told += [f"hint: {hint}" for hint in machine.hints]
    problem.text = clean_text("\n".join(told))
