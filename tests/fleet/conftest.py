"""What tests of many machines share."""

from pathlib import Path

import pytest

from tests.fleet.control import PLAYBOOK


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave these tests out where there is no Ansible."""
    absent = pytest.mark.skip(reason="there is no ansible-playbook (pip install '.[fleet]')")
    if PLAYBOOK is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(absent)
