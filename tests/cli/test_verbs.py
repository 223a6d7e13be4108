"""The command line's surface: verbs, help, options and their variables."""

import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

import provisioner.cli
from provisioner import __version__
from provisioner.cli.main import VERBS, root
from tests.cli.lab import Lab

HEAVY = ("httpx", "rattler", "rich", "yaml", "numpy", "platformdirs", "packaging", "pypi_simple", "asyncio")
# Modules of the folder that are no verbs.
PARTS = {"crash", "dry_run", "main", "options", "named_files", "settings", "signals", "unfinished"}


def command_of(verb: str) -> click.Command:
    command = root.get_command(click.Context(root), verb)
    assert command is not None
    return command


def list_commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every verb, or in its place those that it has itself."""
    for verb in VERBS:
        command = command_of(verb)
        if isinstance(command, click.Group):
            yield from ((f"{verb} {name}", each) for name, each in command.commands.items())
        else:
            yield verb, command


def options() -> Iterator[tuple[str, click.Option]]:
    for verb, command in list_commands():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield verb, parameter


def test_help_loads_nothing_heavy() -> None:
    """The help is there at once: no engine, no terminal library and no YAML reader is imported for it."""
    code = (
        "import sys; from provisioner.cli import main; main.run(['--help']);"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in shown.stderr.split()}
    assert loaded.isdisjoint(HEAVY)
    assert all(f"  {verb}" in shown.stdout for verb in VERBS)


def test_version(lab: Lab) -> None:
    """`--version` says the package's version and nothing else."""
    assert lab.run("--version").out == f"provision, version {__version__}\n"


def test_every_module_is_a_verb_or_a_part() -> None:
    """The table of verbs and the modules agree."""
    modules = {module.name for module in pkgutil.iter_modules(provisioner.cli.__path__)}
    assert modules - PARTS == set(VERBS)


@pytest.mark.parametrize("verb", [verb for verb, _ in list_commands()])
def test_every_verb_has_help(verb: str, lab: Lab) -> None:
    """`provision VERB --help` and `-h` say what the verb does and list `--json`; nothing is touched."""
    shown = lab.run(*verb.split(), "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: provision {verb} ")
    assert "--json" in shown.out
    assert lab.run(*verb.split(), "-h") == shown
    assert not lab.data.exists()


DESTROYS = {("clean", name) for name in ("everything", "keep", "older_than_s", "dry_run")}


def test_every_option_has_its_variable() -> None:
    """Every option can be set by PROVISION_ and its name, and says what it does."""
    for verb, option in options():
        if option.name == "help":
            continue
        if (verb, option.name) in DESTROYS:
            assert option.envvar is None
            continue
        long = next(name for name in option.opts if name.startswith("--"))
        assert option.envvar == "PROVISION_" + long[2:].replace("-", "_").upper(), f"{verb} {long}"
        assert option.help, f"{verb} {long}"


def test_variables_count_as_options(built: Lab) -> None:
    """What a variable says is what the option would say."""
    assert built.run("list", PROVISION_STACKS="1", PROVISION_JSON="true").data == (
        built.run("list", "--stacks", "--json").data
    )
    assert built.run("doctor", PROVISION_LIST="yes").out == built.run("doctor", "--list").out
    chosen = built.run("validate", "tiny", PROVISION_MODEL="/nowhere", PROVISION_JSON="1")
    assert chosen.error["code"] == "usage.no_model"


def test_no_variable_deletes_downloads(tiny: Lab) -> None:
    """PROVISION_ALL, which `lock` reads, does not make `clean` delete the store."""
    tiny.build_tiny()
    assert tiny.run("clean", PROVISION_ALL="1").code == 0
    assert (tiny.data / "store").is_dir()
    assert tiny.run("lock", "--check", PROVISION_ALL="1").code == 0


def test_a_variable_with_several_values_has_commas_between(tiny: Lab) -> None:
    """A wheelhouse whose path holds a space is one, and two are told apart by a comma."""
    houses = [tiny.root / "my wheels", tiny.root / "more"]
    for house, name in zip(houses, ("tinyapp", "torch"), strict=True):
        house.mkdir()
        for path, data in tiny.server.files.items():
            if path.startswith(f"files/{name}-"):
                (house / path.removeprefix("files/")).write_bytes(data)
    value = ", ".join(str(house) for house in houses)
    shown = tiny.run(
        "create", "tiny", "--no-validate", PROVISION_FIND_LINKS=value, PIP_INDEX_URL="http://127.0.0.1:1"
    )
    assert shown.code == 0, shown.err


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_json_by_variable_holds_for_usage_errors(value: str, lab: Lab) -> None:
    """With PROVISION_JSON even a command line that does not parse is answered by a document."""
    assert lab.run("list", "--bogus", PROVISION_JSON=value).document["command"] == "list"


@pytest.mark.parametrize("value", ["0", "false", "", "no"])
def test_json_variable_can_say_no(value: str, lab: Lab) -> None:
    """A variable that says no leaves words on stdout."""
    assert lab.run("doctor", "--list", PROVISION_JSON=value).out.startswith("gpu ")


def test_unknown_verb_names_the_nearest(lab: Lab) -> None:
    """A typing mistake is answered with what was probably meant."""
    shown = lab.run("crate", "llama3-cpu")
    assert (shown.code, shown.out) == (2, "")
    assert "no such verb `crate` (did you mean `create`?)" in shown.err
    assert "hint: run `provision --help`" in shown.err


def test_unknown_option_names_the_nearest(lab: Lab) -> None:
    """The same for options; the sentence is one of ours."""
    shown = lab.run("create", "x", "--no-validat")
    assert shown.code == 2
    assert shown.err.startswith("error: no such option `--no-validat` (did you mean `--no-validate`?)")


def test_help_tells_a_verbs_own_options_first(lab: Lab) -> None:
    """What every verb has stands below what this one does."""
    own, _, common = lab.run("create", "--help").out.partition("Options of every verb:")
    assert "--rebuild" in own
    assert "[PROFILE]" not in own.partition("Options:")[2]
    assert "--data-dir" not in own
    assert "--data-dir" in common
    assert "--rebuild" not in common


def test_help_is_a_word_too(lab: Lab) -> None:
    """`help` and `help VERB` show what `--help` shows; `help` of no verb names the nearest."""
    assert lab.run("help") == lab.run("--help")
    assert lab.run("help", "create") == lab.run("create", "--help")
    assert "(did you mean `create`?)" in lab.run("help", "crate").err


@pytest.mark.parametrize(("word", "verb"), [("uninstall", "remove"), ("install", "create")])
def test_the_words_of_other_tools_lead_to_the_verb(word: str, verb: str, lab: Lab) -> None:
    """Where no letters are alike, the verb of the same meaning is named."""
    assert f"no such verb `{word}` (did you mean `{verb}`?)" in lab.run(word, "tiny").err


def test_no_verb_is_a_usage_error(lab: Lab) -> None:
    """Without a verb nothing is done, and the help is shown on stderr."""
    shown = lab.run()
    assert (shown.code, shown.out) == (2, "")
    assert "hint: run `provision --help`" in shown.err
    assert all(f"  {verb}" in shown.err for verb in VERBS)
    assert lab.run(PROVISION_JSON="1").error["code"] == "usage.no_verb"


def test_an_argument_that_looks_like_a_verb_is_none(lab: Lab) -> None:
    """The document names the verb that was called, not one that stands among its arguments."""
    assert lab.run("show", "lock", "--json").document["command"] == "show"
    assert lab.run("bogus", "lock", "--json").document["command"] == "provision"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts_name_the_program(shell: str, lab: Lab) -> None:
    """`completion` prints a script that asks `provision` itself."""
    script = lab.run("completion", shell).out
    assert "_PROVISION_COMPLETE" in script
    assert lab.run("completion", shell, "--json").data == {"shell": shell, "script": script}


def test_completion_completes_verbs_and_options(lab: Lab) -> None:
    """What the script asks for is answered: verbs, and the options of one."""
    ask = {"_PROVISION_COMPLETE": "bash_complete", "COMP_CWORD": "1", "COMP_WORDS": "provision va"}
    assert lab.spawn(variables=ask).out == "plain,validate\n"
    ask |= {"COMP_CWORD": "2", "COMP_WORDS": "provision list --st"}
    assert lab.spawn(variables=ask).out == "plain,--stacks\n"


def test_schema_is_the_schema_of_profiles(lab: Lab) -> None:
    """`schema` prints the JSON Schema; the envelope carries the same."""
    schema = json.loads(lab.run("schema").out)
    assert schema["properties"]["python"]
    assert lab.run("schema", "--json").data == {"schema": schema}
