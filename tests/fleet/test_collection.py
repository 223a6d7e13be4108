"""What the collection says of itself agrees with what it is, also where it cannot run here."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner import __version__
from tests.cli.lab import REPOSITORY
from tests.fleet.control import COLLECTION

MODULES = COLLECTION / "plugins" / "modules"


def read_constants(path: Path) -> dict[str, Any]:
    """Return the documentation that stands in a Python file."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            found[ast.unparse(node.targets[0])] = yaml.safe_load(str(node.value.value))
    return found


def read_options(name: str) -> dict[str, Any]:
    """Return the documented options of a Python module, with those that all of them have."""
    own = read_constants(MODULES / f"{name}.py")["DOCUMENTATION"]
    shared = read_constants(COLLECTION / "plugins" / "doc_fragments" / "provision.py")["DOCUMENTATION"]
    return {**shared["options"], **own["options"]}


def test_the_collection_has_our_version_and_licence() -> None:
    """A lock of one version is not driven by a collection of another one."""
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))
    assert galaxy["version"] == __version__
    assert galaxy["license"] == ["Apache-2.0"]
    assert (COLLECTION / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()


def test_windows_has_the_same_options() -> None:
    """What a playbook says to `environment` means the same to `win_environment`: names, types, defaults."""
    said = yaml.safe_load((MODULES / "win_environment.yml").read_text(encoding="utf-8"))
    listed = said["DOCUMENTATION"]["options"]
    assert {name: option.get("default") for name, option in listed.items()} == {
        name: option.get("default") for name, option in read_options("environment").items()
    }
    code = (MODULES / "win_environment.ps1").read_text(encoding="utf-8")
    block = code.partition("options = @{\n")[2].partition("\n    }\n")[0]
    types = dict(re.findall(r"^ +(\w+) = @\{ type = '(\w+)'", block, re.MULTILINE))
    assert types == {name: option["type"] for name, option in listed.items()}
    truths = dict(re.findall(r"^ +(\w+) = .*default = \$(true|false) \}$", block, re.MULTILINE))
    assert truths == {
        name: str(option["default"]).lower() for name, option in listed.items() if option["type"] == "bool"
    }


@pytest.mark.parametrize("pair", ["()", "{}"])
def test_windows_code_is_balanced(pair: str) -> None:
    """No PowerShell was here to read it: its brackets at least close in order."""
    code = (MODULES / "win_environment.ps1").read_text(encoding="utf-8")
    bare = re.sub(r"'[^'\n]*'|\"(?:[^\"`\n]|`.)*\"|<#.*?#>|#[^\n]*", "", code, flags=re.DOTALL)
    depth = 0
    for sign in bare:
        depth += (sign == pair[0]) - (sign == pair[1])
        assert depth >= 0
    assert depth == 0


def test_nginx_serves_as_the_docs_say() -> None:
    """The role's site is the one of docs/how-to/mirror.md, which tests/cli/test_mirror.py runs."""
    guide = (REPOSITORY / "docs" / "how-to" / "mirror.md").read_text(encoding="utf-8")
    site = guide.partition("```nginx\n")[2].partition("```")[0]
    site = site.replace("127.0.0.1:8480", "{{ mirror_listen }}").replace("/srv/mirror", "{{ mirror_folder }}")
    assert (COLLECTION / "roles" / "mirror" / "templates" / "site.conf.j2").read_text(
        encoding="utf-8"
    ) == site


def test_roles_and_playbooks_know_the_same_variables() -> None:
    """Every variable of the role `workstation` is documented and can be said to the playbook."""
    role = COLLECTION / "roles" / "workstation"
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = set(specs["argument_specs"]["main"]["options"])
    defaults = set(yaml.safe_load((role / "defaults" / "main.yml").read_text(encoding="utf-8")))
    assert options - defaults == {"workstation_profile", "workstation_verdicts_dir"}
    assert defaults <= options
    play = yaml.safe_load((COLLECTION / "playbooks" / "workstation.yml").read_text(encoding="utf-8"))[0]
    assert set(play["tasks"][0]["vars"]) == options
