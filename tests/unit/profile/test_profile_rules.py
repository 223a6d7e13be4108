"""What words a profile may hold: requirements, addresses, variables, conda packages."""

from pathlib import Path

import pytest

from provisioner.errors import ErrorList
from provisioner.profile.load import load_profile
from provisioner.profile.model import Profile

BASE = 'description: A profile\nfamily: llama3\ndevice: cpu\ntorch: cpu\npython: "3.11"\n'


def load(folder: Path, text: str) -> Profile:
    (folder / "p.yaml").write_text(BASE + text, encoding="utf-8")
    return load_profile("p", folders=[folder])


def refusal(folder: Path, text: str) -> tuple[str, str]:
    """Return the code and sentence of the one error that ``text`` makes."""
    with pytest.raises(ErrorList) as caught:
        load(folder, text)
    assert len(caught.value.errors) == 1
    return caught.value.errors[0].code, caught.value.errors[0].message


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("numpy", "numpy"),
        ("Ipex_LLM [ Xpu_2.6 , all ] == 2.2.0", "ipex-llm[all,xpu-2-6]==2.2.0"),
        ("torch==2.1.0a0+cxx11.abi", "torch==2.1.0a0+cxx11.abi"),
        ("a>=1,<2,!=1.5", "a!=1.5,<2,>=1"),
        ("a == 1.*", "a==1.*"),
    ],
)
def test_requirements_are_kept_in_one_spelling(tmp_path: Path, written: str, kept: str) -> None:
    """Spaces, order and case of a requirement do not matter to what follows."""
    text = BASE.replace("torch: cpu", "torch: ipex").replace("device: cpu", "device: xpu")
    text += (
        f'indexes: {{x: "https://example.org/x"}}\npip: {{packages: ["{written}"], routes: {{torch: x}}}}\n'
    )
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    assert load_profile("p", folders=[tmp_path]).platforms[0].pip == (kept,)


@pytest.mark.parametrize(
    "text",
    [
        "-r requirements.txt",
        "--index-url https://example.org",
        "-e .",
        "foo @ file:///etc/passwd",
        "foo@https://example.org/foo.whl",
        "git+https://example.org/foo",
        "https://example.org/foo.whl",
        "./foo",
        "/foo",
        "foo; os_name == 'nt'",
        "foo==1; python_version < '3'",
        "$(id)",
        "`id`",
        "foo==1 --hash=sha256:0",
        "foo bar",
        "foo==",
        "==1",
        "foo==1.x.y",
        "",
        " ",
        "foo\\nbar",
        "x" * 2000,
    ],
)
def test_what_is_no_plain_requirement_is_refused(tmp_path: Path, text: str) -> None:
    """Options, addresses, markers and shell are data that pip never sees."""
    code, message = refusal(tmp_path, f'pip: {{packages: ["{text}"]}}\n')
    assert code in {"profile.bad_requirement", "profile.unprintable", "profile.bad_value"}
    assert ":6:18: " in message


@pytest.mark.parametrize(
    "text", ["libuv", "libuv >=1.48,<2", "libuv=1.48", "libuv==1.48.0=h1_0", "openssl 3.*", "vc14_runtime"]
)
def test_conda_packages(tmp_path: Path, text: str) -> None:
    """Names with versions, as conda writes them."""
    profile = load(tmp_path, f'conda: {{channels: [conda-forge], packages: ["{text}"]}}\n')
    assert profile.platforms[0].conda == (text,)


@pytest.mark.parametrize(
    "text",
    [
        "conda-forge::libuv",
        "libuv[md5=0]",
        "https://example.org/x.conda",
        "/x",
        "$(id)",
        "-c x",
        "LibUV",
        "",
        "a b c",
        "python=3.11",
        "python",
    ],
)
def test_other_match_specs_are_refused(tmp_path: Path, text: str) -> None:
    """Channels, brackets and addresses would pass by the channels and the lock; python has its own key."""
    assert (
        refusal(tmp_path, f'conda: {{channels: [conda-forge], packages: ["{text}"]}}\n')[0]
        == "profile.bad_requirement"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/simple",
        "https://example.org:8443/a/b/",
        "http://localhost:1/x",
        "http://127.0.0.1/x",
        "http://[::1]:9/x",
    ],
)
def test_addresses(tmp_path: Path, url: str) -> None:
    """Over https anywhere, over http on this machine, kept as written."""
    assert load(tmp_path, f'indexes: {{x: "{url}"}}\n').indexes[0].url == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.org/x",
            "http://127.0.0.1.example.org/x",
            "http://localhost@example.org/x",
            "ftp://example.org",
        ),
        *(
            "file:///etc",
            "/etc",
            "example.org",
            "https://",
            "https:///x",
            "https://exa mple.org",
            "https://example.org/x?y=z",
        ),
        *(
            "https://example.org/#x",
            "https://example.org:x/",
            "https://[::1/x",
            "https://example.org\\\\@evil.org/",
            "https://exämple.org",
        ),
    ],
)
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    """No plain http, no files, no query, nothing that two programs read differently."""
    assert refusal(tmp_path, f'indexes: {{x: "{url}"}}\n')[0] == "profile.bad_url"


@pytest.mark.parametrize("section", ['indexes: {x: "%s"}', 'conda: {channels: ["%s"], packages: [libuv]}'])
@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@example.org/x",
        "https://hunter2@example.org/x",
        "https://example.org/x?token=hunter2",
        "https://example.org/t/tk-hunter2/x",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(tmp_path: Path, section: str, url: str) -> None:
    """The message about credentials does not hold them."""
    code, message = refusal(tmp_path, section % url + "\n")
    assert code == "profile.bad_url"
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PATH",
            "PYTHONPATH",
            "PYTHONHOME",
            "PYTHONSTARTUP",
            "LD_PRELOAD",
            "LD_AUDIT",
            "DYLD_INSERT_LIBRARIES",
        ),
        *(
            "CONDA_PREFIX",
            "PIP_INDEX_URL",
            "UV_INDEX",
            "PROVISION_ENVS",
            "VIRTUAL_ENV",
            "HOME",
            "COMSPEC",
            "BASH_ENV",
        ),
        *("HF_TOKEN", "API_KEY", "OPENAI_API_KEY", "DB_PASSWORD", "SECRET"),
        *("LINES", "LINENO", "HISTCMD", "RANDOM", "SECONDS", "OPTIND", "STTY", "CMD_DURATION", "ERRORLEVEL"),
        *(
            "BASH_COMPAT",
            "COMP_WORDS",
            "ZSH_VERSION",
            "FISH_VERSION",
            "PSMODULEPATH",
            "_",
            "_PROVISION_SAVED_A",
        ),
    ],
)
def test_variables_that_break_isolation_or_hold_secrets_are_refused(tmp_path: Path, name: str) -> None:
    """A profile cannot choose which code runs, publish a token, or set what a shell evaluates."""
    assert refusal(tmp_path, f"env: {{{name}: x}}\n")[0] == "profile.forbidden_variable"


@pytest.mark.parametrize("name", ["path", "A-B", "A B", "1A", "A=B", "Ä"])
def test_names_of_variables(tmp_path: Path, name: str) -> None:
    """Large letters, digits and underscores: the same variable on Linux and Windows."""
    assert refusal(tmp_path, f'env: {{"{name}": x}}\n')[0] == "profile.bad_value"


@pytest.mark.parametrize(
    "value", ["$(id)", "$HOME/x", "`id`", "%PATH%", "{home}/x", "{}", "a\\nb", "a\\0b", "a\\eb"]
)
def test_values_of_variables_hold_nothing_for_a_shell(tmp_path: Path, value: str) -> None:
    """Only `{prefix}` is replaced."""
    assert refusal(tmp_path, f'env: {{A: "{value}"}}\n')[0] in {"profile.bad_value", "profile.unprintable"}


@pytest.mark.parametrize(
    "value",
    ["/usr/lib", "{prefix}/lib:/usr/lib", "{prefix}/../lib", "{prefix}lib", "", "{prefix}/lib:", "lib"],
)
def test_the_library_path_stays_in_the_environment(tmp_path: Path, value: str) -> None:
    """`LD_LIBRARY_PATH` names folders below the prefix only."""
    assert (
        refusal(tmp_path, f'linux-64: {{env: {{LD_LIBRARY_PATH: "{value}"}}}}\n')[0]
        == "profile.forbidden_variable"
    )


def test_the_library_path_may_name_the_environments_folders(tmp_path: Path) -> None:
    """The runtimes of oneAPI from pip lie in the prefix's `lib`."""
    profile = load(tmp_path, 'linux-64: {env: {LD_LIBRARY_PATH: "{prefix}/lib:{prefix}/lib/python3.11"}}\n')
    assert profile.platforms[0].env == {"LD_LIBRARY_PATH": "{prefix}/lib:{prefix}/lib/python3.11"}


@pytest.mark.parametrize(
    "text",
    [
        "as_of: 2026-11-15",
        "as_of: '2026-13-01'",
        "as_of: today",
        "transformers: ''",
        "transformers: '4.37.0'",
        "python: '3'",
        "python: '3.11.4'",
        "python: '2.7'",
    ],
)
def test_dates_and_versions(tmp_path: Path, text: str) -> None:
    """Dates are ISO dates in quotes, python is major and minor, transformers a specifier."""
    key = text.partition(":")[0]
    kept = [line for line in BASE.splitlines() if not line.startswith(key)]
    (tmp_path / "p.yaml").write_text("\n".join([text, *kept]), encoding="utf-8")
    with pytest.raises(ErrorList) as caught:
        load_profile("p", folders=[tmp_path])
    assert [error.context["line"] for error in caught.value.errors] == [1]
    assert caught.value.code in {"profile.bad_value", "profile.wrong_type"}


def test_a_date_that_no_calendar_has_is_refused(tmp_path: Path) -> None:
    """The thirtieth of February matches the pattern of a date and is none."""
    assert refusal(tmp_path, 'as_of: "2026-02-30"\n')[0] == "profile.bad_value"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("pip: {packages: [numpy==1, NumPy>=1]}", "profile.duplicate_package"),
        ("conda: {channels: [c], packages: [libuv, 'libuv >=1']}", "profile.duplicate_package"),
        ("pip: {overrides: {numpy==1: because, Numpy==2: because}}", "profile.duplicate_package"),
        ("pip: {yanked: {numpy>=1: because}}", "profile.bad_requirement"),
        ("pip: {yanked: {numpy==1.*: because}}", "profile.bad_requirement"),
        ("pip: {yanked: {numpy==1: ''}}", "profile.bad_value"),
        ("indexes: {pypi: 'https://example.org'}", "profile.bad_name"),
        ("validation: {tolerance: -1}", "profile.wrong_type"),
        ("validation: {tolerance: 11}", "profile.bad_value"),
        ("validation: {tolerance: '0.1'}", "profile.wrong_type"),
        ("validation: {commands: [[]]}", "profile.wrong_type"),
        ("validation: {commands: [chatchat --help]}", "profile.wrong_type"),
        ("validation: {commands: [[../x, y]]}", "profile.bad_value"),
        ("validation: {commands: [[-x]]}", "profile.bad_value"),
        ("validation: {imports: ['os; x']}", "profile.bad_value"),
        ("platforms: [osx-64]", "profile.bad_value"),
        ("gpus: {arc_a: {env: {}}}", "profile.unknown_key"),
        ("stack: yes", "profile.wrong_type"),
        ("pip:", "profile.wrong_type"),
        ("pip: [numpy]", "profile.wrong_type"),
        ("env: {A: 1}", "profile.wrong_type"),
        ("env: {NO: x}", "profile.wrong_type"),
    ],
)
def test_small_mistakes(tmp_path: Path, text: str, code: str) -> None:
    """Each is one error of its own kind."""
    assert refusal(tmp_path, text + "\n")[0] == code
