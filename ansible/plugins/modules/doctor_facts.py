#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""The module ``doctor_facts``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_facts
short_description: Gather a machine's cards, drivers and the judgement of doctor as facts
version_added: 0.1.0
description:
  - Calls C(provision doctor) and sets the fact V(provision), for example for M(ansible.builtin.group_by).
  - A machine that is not fit for Intel GPU work is no failure of this module; V(ansible_facts.provision.outcome) tells it.
author:
  - The authors of provision (@provision)
options:
  name:
    description:
      - A profile or an environment to judge the machine for; any profile for an Intel GPU by default.
    type: str
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  facts:
    description: Sets the fact V(provision).
    support: full
  platform:
    description: Linux on x86-64.
    platforms: linux
    support: full
extends_documentation_fragment:
  - provision.workstations.provision
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.facts
"""

EXAMPLES = r"""
- name: Gather cards and drivers
  provision.workstations.doctor_facts:

- name: Group the machines by the class of their card
  ansible.builtin.group_by:
    key: "card_{{ ansible_facts.provision.gpu_class | default('none', true) | replace('-', '_') }}"
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to the machine.
  returned: always
  type: dict
  contains:
    provision:
      description: What C(provision doctor --json) tells.
      returned: always
      type: dict
      contains:
        outcome:
          description: V(ok), V(fail), V(unsupported) or V(unknown).
          type: str
          returned: always
        first:
          description: The first layer that fails.
          type: str
          returned: always
        layers:
          description: Name of each layer to its judgement.
          type: dict
          returned: always
        gpu_class:
          description: Class of the best supported GPU as profiles name it, for example V(arc-a), or none.
          type: str
          returned: always
        gpus:
          description: The display devices, each with pci, product, architecture, gpu_class, driver and driver_version.
          type: list
          elements: dict
          returned: always
        libraries:
          description: Kind of driver library to its version.
          type: dict
          returned: always
        os:
          description: The operating system.
          type: str
          returned: always
        release:
          description: The release of the operating system.
          type: str
          returned: always
        kernel:
          description: The release of the kernel.
          type: str
          returned: always
exit_code:
  description: The exit code of C(provision).
  type: int
  returned: always
errors:
  description: The errors of the document.
  type: list
  elements: dict
  returned: always
result:
  description: The document of the command, C(provision.result/1).
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.provision.workstations.plugins.module_utils.provision import (
    ask_provision,
    describe_answer,
    describe_errors,
    shared_arguments,
)


def main():
    """Gather the facts."""
    module = AnsibleModule(
        argument_spec={**shared_arguments(), "name": {"type": "str"}}, supports_check_mode=True
    )
    name = module.params["name"]
    document = ask_provision(module, "doctor", *([name] if name else []))
    data = document["data"]
    if "layers" not in data:  # an unknown name, a damaged receipt: nothing was judged
        module.fail_json(msg=describe_errors(document), **describe_answer(document))
    facts = {
        "outcome": data["outcome"],
        "first": data["first"],
        "layers": {layer["name"]: layer["verdict"] for layer in data["layers"]},
        **data["host"],
    }
    module.exit_json(changed=False, ansible_facts={"provision": facts}, **describe_answer(document))


if __name__ == "__main__":
    main()
