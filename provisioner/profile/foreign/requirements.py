"""Read ``requirements.txt`` (pip's format; pip's documentation, "Requirements File Format")."""

import re

from provisioner.profile.foreign.collect import Collection
from provisioner.profile.rules import find_habit

_OPTIONS = {
    ("-r", "--requirement"): "it is another file; import that one, too, or put its lines here",
    ("-c", "--constraint"): "a profile has no constraints: write the versions at the packages",
    ("-i", "--index-url"): "the default index is that of your pip configuration",
    ("--extra-index-url",): "say which packages come from it: `indexes` and `pip.routes` in the profile",
    ("-f", "--find-links"): "wheelhouses are settings: `find_links` in `provision.yaml`",
    ("-e", "--editable"): "files are locked from indexes; run your own code with `provision run`",
    ("--pre",): "pre-releases are allowed by package: `pip.prereleases`",
    ("--no-binary", "--only-binary"): "source archives are allowed by package: `pip.sdists`",
    ("--no-index",): "what is fetched from where is a setting: `find_links` in `provision.yaml`",
    ("--trusted-host",): "certificates are always checked; name your own in pip's configuration",
    ("--require-hashes",): "the lockfile always has every file's hash",
}
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_PER_PACKAGE = re.compile(r"\s+--(?:hash|config-settings?|global-option)[= ]\S+")


def read_requirements(text: str, found: Collection) -> None:
    """Collect the lines of a requirements file."""
    number, waiting, first = 0, "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        first = first if waiting else number
        if raw.rstrip().endswith("\\"):
            waiting += raw.rstrip()[:-1] + " "
            continue
        line = _COMMENT.sub("", waiting + raw).strip()
        waiting = ""
        if line:
            _read_line(first, line, found)


def _read_line(number: int, line: str, found: Collection) -> None:
    if line.startswith("-"):
        option = re.split(r"[\s=]", line, maxsplit=1)[0]
        short = option[:2] if not option.startswith("--") else option
        reason = next((why for names, why in _OPTIONS.items() if short in names), f"it {find_habit(line)}")
        found.leave(number, line, reason)
    elif "${" in line:
        found.leave(number, line, "it holds a variable, which nothing here expands")
    else:
        found.add_requirement(number, _PER_PACKAGE.sub("", line).strip())
