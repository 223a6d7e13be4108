#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""The module ``validate``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate
short_description: Prove a built environment again with a real forward pass
version_added: 0.1.0
description:
  - Calls C(provision validate), which runs a real model in the environment.
  - The task fails where a check failed (RV(ignore:status=failed)) and where the validation could not be made on this machine
    (RV(ignore:status=unvalidated), exit code 7); the second is never ok.
author:
  - The authors of provision (@provision)
options:
  name:
    description:
      - Name of the environment.
    type: str
    required: true
  device:
    description:
      - The device to validate on, for example V(cpu) or V(xpu:1); the profile's by default.
    type: str
  width:
    description:
      - Whether to run layers of the real model's size, too; by default on a GPU only.
    type: bool
attributes:
  check_mode:
    description: A validation is a measurement; in check mode none is made and the task is skipped.
    support: none
  diff_mode:
    description: There is nothing to compare.
    support: none
  platform:
    description: Linux on x86-64.
    platforms: linux
    support: full
extends_documentation_fragment:
  - provision.workstations.provision
  - ansible.builtin.action_common_attributes
seealso:
  - module: provision.workstations.verdict_info
"""

EXAMPLES = r"""
- name: Prove the environment after the driver was updated
  provision.workstations.validate:
    name: llama3-arc
"""

RETURN = r"""
status:
  description: V(passed), V(failed), V(unvalidated), or V(error) where there is no verdict.
  type: str
  returned: always
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
    """Validate, and fail on every verdict but passed."""
    own = {
        "name": {"type": "str", "required": True},
        "device": {"type": "str"},
        "width": {"type": "bool"},
    }
    module = AnsibleModule(argument_spec={**shared_arguments(), **own}, supports_check_mode=False)
    arguments = [module.params["name"]]
    if module.params["device"]:
        arguments += ["--device", module.params["device"]]
    if module.params["width"] is not None:
        arguments.append("--width" if module.params["width"] else "--no-width")
    document = ask_provision(module, "validate", *arguments)
    status = find_status(document)
    answer = describe_answer(document)
    if status != "passed":
        module.fail_json(msg=describe_errors(document) or status, status=status, **answer)
    module.exit_json(changed=False, status=status, **answer)


if __name__ == "__main__":
    main()
