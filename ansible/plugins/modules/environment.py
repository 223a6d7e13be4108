#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""The module ``environment``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: environment
short_description: Build or remove the locked environment of a profile
version_added: 0.1.0
description:
  - Calls C(provision create) or C(provision remove).
  - An environment is built exactly as its lockfile says. It is proven by a real model afterwards, unless
    O(validate=false).
  - A machine whose environment was built and could not be validated (exit code 7) fails the task with
    RV(ignore:status=unvalidated); it never counts as good.
author:
  - The authors of provision (@provision)
options:
  profile:
    description:
      - Name of the profile. Needed with O(state=present).
    type: str
  name:
    description:
      - Name of the environment; the profile's by default.
    type: str
  state:
    description:
      - V(present) builds the environment unless it is what the lockfile says, V(absent) removes it with all its generations.
    type: str
    choices: [present, absent]
    default: present
  bundle:
    description:
      - A bundle on the managed machine, which brings profile, lock and files; no network is used.
    type: path
  device:
    description:
      - The device to validate on, for example V(cpu) or V(xpu:1). Asking for one validates again.
    type: str
  validate:
    description:
      - Whether to prove the environment after it was built. One that is proven already is not proven again.
    type: bool
    default: true
  gate:
    description:
      - Whether a machine without a supported GPU stops the build of a profile for one.
    type: bool
    default: true
  managed_python:
    description:
      - Make a virtual environment of a Python that is fetched, not of one on the machine.
    type: bool
    default: false
attributes:
  check_mode:
    description: Tells from C(provision create --dry-run) what would be built.
    support: full
  diff_mode:
    description: Shows the packages that the lock changes in the environment.
    support: full
  platform:
    description: Linux on x86-64; for Windows there is M(provision.workstations.win_environment).
    platforms: linux
    support: full
extends_documentation_fragment:
  - provision.workstations.provision
  - ansible.builtin.action_common_attributes
seealso:
  - module: provision.workstations.validate
"""

EXAMPLES = r"""
- name: Build and prove the environment
  provision.workstations.environment:
    profile: llama3-arc
    mirrors: /etc/provision/mirrors.yaml

- name: Tell what another lock would change
  provision.workstations.environment:
    profile: llama3-arc
  check_mode: true
  diff: true

- name: Remove it
  provision.workstations.environment:
    name: llama3-arc
    state: absent
"""

RETURN = r"""
status:
  description:
    - V(passed), V(failed) (a check failed), V(unvalidated) (it could not be validated, or was not asked to be),
      V(error) (it could not be built), or V(absent).
  type: str
  returned: not in check mode
  sample: passed
exit_code:
  description: The exit code of C(provision).
  type: int
  returned: always
errors:
  description: The errors of the document, each with code, message, hints, retryable and context.
  type: list
  elements: dict
  returned: always
result:
  description: The document of the command, C(provision.result/1).
  type: dict
  returned: when the command printed one
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.provision.workstations.plugins.module_utils.provision import (
    ask_provision,
    describe_answer,
    describe_errors,
    find_status,
    shared_arguments,
)


def main():
    """Bring an environment into the state that is asked for."""
    own = {
        "profile": {"type": "str"},
        "name": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "bundle": {"type": "path"},
        "device": {"type": "str"},
        "validate": {"type": "bool", "default": True},
        "gate": {"type": "bool", "default": True},
        "managed_python": {"type": "bool", "default": False},
    }
    module = AnsibleModule(
        argument_spec={**shared_arguments(), **own},
        required_if=[("state", "present", ("profile",)), ("state", "absent", ("profile", "name"), True)],
        supports_check_mode=True,
    )
    if module.params["state"] == "present":
        build_environment(module)
    else:
        remove_environment(module)


def build_environment(module):
    """Build and prove the environment; changed is whether another generation became the current one."""
    arguments = list_arguments(module.params)
    planned = ask_provision(module, "create", *arguments, "--dry-run")
    if planned["exit_code"] != 0:
        fail(module, planned, changed=False)
    changed = not planned["data"]["up_to_date"]
    diff = {"prepared": planned["data"]["changes"]["text"] if changed else ""}
    if module.check_mode:
        module.exit_json(changed=changed, diff=diff, **describe_answer(planned))
    done = ask_provision(
        module, "create", *arguments, *(() if module.params["validate"] else ("--no-validate",))
    )
    # A build that failed leaves the generation that was there, and says nothing of one.
    built = changed and "generation" in done["data"]
    if done["exit_code"] != 0:
        fail(module, done, changed=built, diff=diff if built else {})
    module.exit_json(changed=built, diff=diff, status=find_status(done), **describe_answer(done))


def list_arguments(options):
    """Return the command line of `create` without the flags that all verbs share."""
    arguments = [options["profile"]]
    for name in ("name", "bundle", "device"):
        if options[name]:
            arguments += ["--" + name, options[name]]
    if not options["gate"]:
        arguments.append("--no-gate")
    if options["managed_python"]:
        arguments.append("--managed-python")
    return arguments


def remove_environment(module):
    """Remove the environment if it is there."""
    name = module.params["name"] or module.params["profile"]
    listed = ask_provision(module, "list")
    if listed["exit_code"] != 0:
        fail(module, listed, changed=False)
    there = any(row["name"] == name for row in listed["data"]["environments"])
    if module.check_mode or not there:
        module.exit_json(changed=there, status="absent", **describe_answer(listed))
    removed = ask_provision(module, "remove", name)
    if removed["exit_code"] != 0:
        fail(module, removed, changed=False)
    module.exit_json(changed=True, status="absent", **describe_answer(removed))


def fail(module, document, **more):
    """End the module with the document's errors."""
    module.fail_json(
        msg=describe_errors(document), status=find_status(document), **describe_answer(document), **more
    )


if __name__ == "__main__":
    main()
