#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""The module ``verdict_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verdict_info
short_description: Tell the environments of a machine with their last verdicts
version_added: 0.1.0
description:
  - Calls C(provision list). Nothing is validated; a verdict speaks for the day on which it was made.
author:
  - The authors of provision (@provision)
options:
  name:
    description:
      - Tell of this environment alone.
    type: str
attributes:
  check_mode:
    description: Reads only.
    support: full
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
"""

EXAMPLES = r"""
- name: Read the verdicts
  provision.workstations.verdict_info:
  register: verdicts

- name: Name what is not proven
  ansible.builtin.debug:
    msg: "{{ verdicts.environments | rejectattr('verdict', 'eq', 'passed') | map(attribute='name') | list }}"
"""

RETURN = r"""
environments:
  description:
    - One entry for each environment, as C(provision list --json) tells it. V(verdict) is C(passed), C(failed),
      C(unvalidated) or C(damaged); V(validated_at) is the time of the validation.
  type: list
  elements: dict
  returned: success
exit_code:
  description: The exit code of C(provision).
  type: int
  returned: always
errors:
  description: The errors of the document.
  type: list
  elements: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.provision.workstations.plugins.module_utils.provision import (
    ask_provision,
    describe_errors,
    shared_arguments,
)


def main():
    """List the environments."""
    module = AnsibleModule(
        argument_spec={**shared_arguments(), "name": {"type": "str"}}, supports_check_mode=True
    )
    document = ask_provision(module, "list")
    answer = {"exit_code": document["exit_code"], "errors": document["errors"]}
    if document["exit_code"] != 0:
        module.fail_json(msg=describe_errors(document), **answer)
    name = module.params["name"]
    rows = [row for row in document["data"]["environments"] if name is None or row["name"] == name]
    module.exit_json(changed=False, environments=rows, **answer)


if __name__ == "__main__":
    main()
