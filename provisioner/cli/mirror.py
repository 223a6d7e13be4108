"""``provision mirror``: serve locked files as package index and channels, or write them as a folder."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from provisioner.cli.options import argument, flag, settings_flags, verb
from provisioner.engines.net.addresses import parse_address
from provisioner.errors import UsageError
from provisioner.ground.names import PLATFORMS
from provisioner.pipeline.lock import load_all_profiles
from provisioner.pipeline.mirror import hold_tree, list_bundle, list_documents, list_folder, serve
from provisioner.pipeline.mirror_export import export_tree
from provisioner.pipeline.settings import Settings, host_platform
from provisioner.render.mirror import render_export
from provisioner.render.progress import show_progress
from provisioner.render.result import Result


@verb("mirror")
@argument("profiles", nargs=-1, metavar="[PROFILE]...")
@flag("--all", "every", is_flag=True, help="Every profile of the first folder that has any.")
@flag(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice(PLATFORMS),
    help="What clients shall install on; repeatable. Default: this machine's.",
)
@flag("--bundle", metavar="FILE", help="Serve what this bundle holds instead.")
@flag("--folder", metavar="DIR", help="Serve this exported folder or unpacked bundle instead.")
@flag(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8470",
    show_default=True,
    help="Where to listen; port 0 takes any that is free.",
)
@flag("--url", metavar="URL", help="The address that clients use, for the map of mirrors.")
@flag("--export", "target", metavar="DIR", help="Serve nothing; write the folder for another web server.")
@settings_flags
def command(
    *,
    settings: Settings,
    profiles: tuple[str, ...],
    every: bool,
    platforms: tuple[str, ...],
    bundle: str | None,
    folder: str | None,
    listen: str,
    url: str | None,
    target: str | None,
) -> Result:
    """Serve the locked files of PROFILE to pip, uv, conda's clients and provision, until stopped.

    What the store lacks is fetched first; with --offline it is left out.
    """
    host, port = _parse_listen(listen)
    if url is not None:
        parse_address(url, place="--url")
    if sum((every, bool(profiles), bundle is not None, folder is not None)) != 1:
        raise UsageError(
            "usage.mirror_what",
            "name profiles, or `--all`, `--bundle` or `--folder`, and one of them only",
            hints=["`provision list` shows the profiles"],
        )
    if target is not None and (bundle or folder):
        raise UsageError(
            "usage.mirror_export",
            "`--export` writes the files of profiles, and cannot go with `--bundle` or `--folder`",
            hints=["unpack the bundle with `tar`, or copy the folder: any web server can serve it"],
        )
    with show_progress(settings.environ) as listener:
        answer = partial(serve, host=host, port=port, url=url, on_event=listener)
        if folder is not None:
            answer(list_folder(Path(folder)))
        elif bundle is not None:
            answer(list_bundle(Path(bundle)))
        else:
            wanted = (
                load_all_profiles(settings) if every else [settings.load_profile(name) for name in profiles]
            )
            chosen = platforms or (host_platform(),)
            with hold_tree(settings, wanted, platforms=chosen, on_event=listener) as tree:
                if target is not None:
                    exported = export_tree(tree, Path(target), url=url, on_event=listener)
                    return render_export(target, **asdict(exported), left_out=tree.left_out)
                answer(list_documents(tree))
    return Result()


def _parse_listen(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise UsageError(
            "usage.listen",
            f"`--listen` is `{text}`, which is not HOST:PORT",
            hints=["write it as `127.0.0.1:8470`, or as `[::1]:8470`"],
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
