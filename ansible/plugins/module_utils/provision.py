# SPDX-License-Identifier: Apache-2.0
"""Call the ``provision`` command and read the one document that it prints."""

from __future__ import annotations

import json
from pathlib import Path

SCHEMA = "provision.result/1"
STATUS_OF_EXIT = {0: "passed", 6: "failed", 7: "unvalidated"}
LONGEST_OUTPUT = 2000


def shared_arguments():
    """Return the specification of the options that every module has."""
    return {
        "executable": {"type": "path", "default": "provision"},
        "data_dir": {"type": "path"},
        "envs": {"type": "path"},
        "lockfiles": {"type": "path"},
        "config": {"type": "path"},
        "mirrors": {"type": "str"},
        "find_links": {"type": "list", "elements": "str", "default": []},
        "offline": {"type": "bool", "default": False},
    }


def ask_provision(module, verb, *arguments):
    """Run a verb and return its document, whatever its exit code is; end the module where it printed none."""
    options = module.params
    command = [options["executable"], verb, *arguments, "--json"]
    for name in ("data_dir", "envs", "lockfiles", "config", "mirrors"):
        if options[name]:
            # the map of mirrors may be a name, so Ansible does not know it for a path
            command += ["--" + name.replace("_", "-"), str(Path(options[name]).expanduser())]
    for place in options["find_links"]:
        command += ["--find-links", place]
    if options["offline"]:
        command.append("--offline")
    try:
        code, out, err = module.run_command(command, handle_exceptions=False)
    except OSError as error:
        fail_without_document(
            module,
            code=None,
            cause="fleet.no_command",
            message=f"`{options['executable']}` cannot be started: {error.strerror or error}",
            hint="install provision on the machine, or name its command with `executable`",
        )
    try:
        document = json.loads(out)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        said = (err or out).strip()[-LONGEST_OUTPUT:]
        fail_without_document(
            module,
            code=code,
            cause="fleet.no_document",
            message=f"`provision {verb}` ended with {code} and printed no document of {SCHEMA}: {said}",
            hint=f"run `{' '.join(command)}` on the machine",
        )
    return document


def fail_without_document(module, code, cause, message, hint):
    """End the module with an error in the form of ours."""
    error = {"code": cause, "message": message, "hints": [hint], "retryable": False, "context": {}}
    module.fail_json(msg=message, status="error", exit_code=code, errors=[error], result=None)


def find_status(document):
    """Return the status of a machine by a document of `create` or `validate`: passed only if a verdict says so."""
    status = STATUS_OF_EXIT.get(document["exit_code"], "error")
    verdict = (document.get("data") or {}).get("verdict")
    return verdict if status == "passed" and verdict else status


def describe_errors(document):
    """Return the document's errors as one text, each with what to do."""
    lines = []
    for error in document["errors"]:
        lines.append(error["message"])
        lines += ["hint: " + hint for hint in error["hints"]]
    return "\n".join(lines)


def describe_answer(document):
    """Return what every module tells of a document."""
    return {
        "exit_code": document["exit_code"],
        "errors": document["errors"],
        "result": document,
    }
