# SPDX-License-Identifier: Apache-2.0
"""What the documentation of the modules shares."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of every module that calls ``provision``, and what every one of them returns."""

    DOCUMENTATION = r"""
options:
  executable:
    description:
      - The C(provision) command on the managed machine, a path or a name that is found on the C(PATH).
    type: path
    default: provision
  data_dir:
    description:
      - Folder of environments, downloads and caches on the managed machine; C(provision)'s own choice by default.
    type: path
  envs:
    description:
      - Folder of profiles on the managed machine, which is looked into first.
    type: path
  lockfiles:
    description:
      - Folder of lockfiles on the managed machine.
    type: path
  config:
    description:
      - The C(provision.yaml) to read on the managed machine.
    type: path
  mirrors:
    description:
      - Map of canonical prefixes to mirrors, as a file on the managed machine or by its name.
    type: str
  find_links:
    description:
      - Wheelhouses, folders or addresses; files are matched by their sha256.
    type: list
    elements: str
    default: []
  offline:
    description:
      - Use no network.
    type: bool
    default: false
requirements:
  - provision-arc on the managed machine
notes:
  - The module calls the C(provision) command and passes its document on; it decides nothing that the command decides.
"""
