"""Where things are and how to reach the network: flags, then PROVISION_ variables, then `provision.yaml`."""

import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import platformdirs

from provisioner.diagnose.advisories.ignore import Ignore
from provisioner.engines.net import addresses
from provisioner.engines.net.addresses import check_address, parse_address
from provisioner.errors import UsageError
from provisioner.ground.files import read_file
from provisioner.ground.names import check_profile_name
from provisioner.ground.yaml_fields import ListOf, MapOf, Record, Text, check_node
from provisioner.ground.yaml_reader import MAX_BYTES, read_yaml
from provisioner.ground.yaml_tree import plain, raise_problems
from provisioner.pipeline.settings import CONFIG_NAME, Settings, builtin_folder
from provisioner.profile.rules import check_date

_OUR_MIRRORS = Path(addresses.__file__).parent / "mirrors"

CONFIG = Record(
    description="Settings of provision.",
    fields={
        "mirrors": MapOf(
            key=Text(description="Canonical prefix of an address."),
            value=Text(description="What is asked instead.", check=check_address),
            description="Mirrors of indexes, channels and files.",
        ),
        "find_links": ListOf(item=Text(), description="Folders or pages that hold wheels."),
        "envs": Text(description="Folder of profiles."),
        "profile": Text(
            description="What `create`, `run`, `validate` and others mean without a name.",
            check=check_profile_name,
        ),
        "lockfiles": Text(description="Folder of lockfiles."),
        "data_dir": Text(description="Folder for environments and downloads."),
        "audit": Record(
            description="What `audit` counts.",
            fields={
                "ignore": MapOf(
                    key=Text(description="Id of an advisory or of an end of life, or an alias."),
                    value=Record(
                        fields={
                            "reason": Text(description="Why it does not matter here."),
                            "until": Text(
                                pattern=r"20[0-9]{2}-[0-9]{2}-[0-9]{2}",
                                expected='a date like "2026-11-15"',
                                check=check_date,
                                description="Last day; after it `audit` is refused.",
                            ),
                        },
                        required=("reason", "until"),
                    ),
                    description="What does not count, why, and up to which day.",
                )
            },
        ),
    },
)
_MIRRORS = MapOf(
    key=Text(), value=Text(check=check_address), description="Canonical prefix to mirror prefix."
)


def read_settings(
    *,
    envs: str | None = None,
    lockfiles: str | None = None,
    data_dir: str | None = None,
    config: str | None = None,
    mirrors: str | None = None,
    find_links: Sequence[str] = (),
    offline: bool = False,
) -> Settings:
    """Merge the flags with the configuration files.

    Raises:
        UsageError: A named file does not exist or does not parse; ``ErrorList`` for several problems.
    """
    environ = dict(os.environ)
    user = _user_folder(environ)
    written = _read_config(config, user)
    folders = [Path("envs"), user / "envs", builtin_folder("envs")]
    named = envs or written.get("envs")
    if named is not None:
        if not Path(named).is_dir():
            place = "`--envs`" if envs else "`envs` in the configuration"
            raise UsageError(
                "usage.no_folder",
                f"there is no folder `{named}`, which {place} names",
                hints=["name a folder of profiles"],
            )
        folders.insert(0, Path(named))
    chosen = lockfiles or written.get("lockfiles")
    data = data_dir or written.get("data_dir")
    return Settings(
        environ=environ,
        profile_folders=tuple(folders),
        lockfiles=Path(chosen) if chosen else None,
        data=Path(data).expanduser().absolute() if data else _platform_folder("data"),
        mirrors=written.get("mirrors", {}) | (_read_mapping(mirrors, user) if mirrors else {}),
        find_links=tuple(
            parse_address(link, place="find_links") if "://" in link else link
            for link in (*find_links, *written.get("find_links", ()))
        ),
        offline=offline,
        profile=written.get("profile"),
        ignores={
            name: Ignore(reason=each["reason"], until=date.fromisoformat(each["until"]))
            for name, each in written.get("audit", {}).get("ignore", {}).items()
        },
    )


def _read_config(named: str | None, user: Path) -> dict[str, Any]:
    candidates = [Path(named)] if named else [Path(CONFIG_NAME), user / CONFIG_NAME]
    path = next((candidate for candidate in candidates if _exists(candidate)), None)
    if path is None:
        if named:
            raise UsageError(
                "usage.no_config", f"`--config`: there is no file `{named}`", hints=["name a YAML file"]
            )
        return {}
    return _read(path, CONFIG)


def _read_mapping(named: str, user: Path) -> dict[str, str]:
    """Read a map of mirrors: a file, or by its name one of the user's or of ours."""
    places = [Path(named)]
    if check_profile_name(named) is None:  # then it is no path, and leads nowhere else
        places += [folder / f"{named}.yaml" for folder in (user / "mirrors", _OUR_MIRRORS)]
    for path in places:
        if path.is_file():
            return _read(path, _MIRRORS)
    ours = ", ".join(f"`{path.stem}`" for path in sorted(_OUR_MIRRORS.glob("*.yaml")))
    raise UsageError(
        "usage.no_mirrors",
        f"`--mirrors`: there is no file `{named}`, and no map of that name",
        hints=[
            "name a YAML or JSON file that maps prefixes to mirrors",
            f"or a map by its name: {ours}, or those in `{user / 'mirrors'}`",
        ],
    )


def _read(path: Path, spec: Record | MapOf) -> dict[str, Any]:
    try:
        data = read_file(path, max_bytes=MAX_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error
    table, problems = read_yaml(data, str(path))
    checked = check_node(table, spec, problems, name="the file") if table is not None else None
    raise_problems(problems, area="config")
    values: dict[str, Any] = plain(checked) if checked else {}
    return values


def _exists(path: Path) -> bool:
    """Tell whether a configuration file is there.

    Raises:
        UsageError: Nobody can tell: a folder on the way is closed to us.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from error
    return True


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        "config.unreadable",
        f"the configuration `{path}` cannot be read: {(error.strerror or str(error)).lower()}",
        hints=["mend its permissions, or name another folder with `PROVISION_CONFIG_DIR`"],
        context={"path": str(path)},
    )


def _user_folder(environ: Mapping[str, str]) -> Path:
    return (
        Path(environ["PROVISION_CONFIG_DIR"])
        if environ.get("PROVISION_CONFIG_DIR")
        else _platform_folder("config")
    )


def _platform_folder(kind: str) -> Path:
    if kind == "config":
        return Path(platformdirs.user_config_dir("provision", appauthor=False))
    return Path(platformdirs.user_data_dir("provision", appauthor=False))
