"""What wheels that lie on this machine do for `lock`: docs/decisions/0013."""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cli.lab import Lab
from tests.cli.pages import read_blocks, read_page
from tests.loopback import serve
from tests.wheels import make_wheel

NOWHERE = "http://127.0.0.1:1"


def fill_wheelhouse(lab: Lab, filename: str) -> Path:
    """Put a wheel of the index into a folder."""
    folder = lab.root / "wheels"
    folder.mkdir()
    (folder / filename).write_bytes(lab.server.files[f"files/{filename}"])
    return folder


def test_a_wheelhouse_locks_nothing_and_the_way_to_use_it_is_named(lab: Lab) -> None:
    """An index that is gone stops the lock whatever lies here, which is said with the file and what helps."""
    wheel = lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.offer("tinyapp", "1.0")
    lab.write_profile(changes={f"{lab.server.url}/ok/torch": f"{NOWHERE}/torch"})
    folder = fill_wheelhouse(lab, wheel)
    shown = lab.run("lock", "tiny", "--json", "--find-links", str(folder))
    assert (shown.code, shown.error["context"]["index"]) == (8, "pytorch-cpu")
    assert shown.error["hints"][-1].startswith("name a mirror of `pytorch-cpu` in `mirrors`")
    assert str(folder / wheel) in shown.error["hints"][-1]
    assert not lab.lockfile.exists()


def test_the_lock_of_what_a_profile_extends_stands_for_an_index_that_is_gone(lab: Lab) -> None:
    """The hint is a recipe: with the exported mirror the profile is locked, and what was locked stays."""
    lab.offer("tinyapp", "1.0")
    lab.offer("tinyextra", "1.0")
    with serve({}) as gone:
        mine, lab.server = lab.server, gone
        lab.offer("torch", "2.13.0+cpu", index="torch")
        lab.server = mine
        lab.write_profile(changes={f"{lab.server.url}/ok/torch": f"{gone.url}/ok/torch"})
        assert lab.run("lock", "tiny").code == 0
        lab.build_tiny()  # torch's wheel lies in the store now
    text = "description: Mine\nextends: tiny\npip:\n  packages: [tinyextra]\n"
    (lab.envs / "mine.yaml").write_text(text, encoding="utf-8")
    shutil.rmtree(lab.data / "cache" / "index")
    refused = lab.run("lock", "mine", "--json")
    assert refused.code == 8, refused.err
    assert "`provision mirror tiny --export DIR --url file://DIR`" in refused.error["hints"][-1]

    folder = lab.root / "mirror"
    assert lab.run("mirror", "tiny", "--export", str(folder), "--url", folder.as_uri()).code == 0
    lines = (folder / "mirrors.yaml").read_text(encoding="utf-8").splitlines()
    kept = [f"  {line}\n" for line in lines if line.strip("\"'").startswith("http://")]  # the lab's scheme
    (lab.root / "provision.yaml").write_text("".join(["mirrors:\n", *kept]), encoding="utf-8")
    locked = lab.run("lock", "mine")
    assert locked.code == 0, locked.err
    (changed,) = lab.run("diff", "tiny", "mine", "--json").data["platforms"]
    assert [(each["name"], each["kind"]) for each in changed["changes"]] == [("tinyextra", "added")]


def test_a_wheel_of_another_version_is_not_named(lab: Lab) -> None:
    """What does not answer the profile is no help."""
    wheel = lab.offer("torch", "2.12.0+cpu", index="torch")
    lab.write_profile(changes={f"{lab.server.url}/ok/torch": f"{NOWHERE}/torch"})
    shown = lab.run("lock", "tiny", "--json", "--find-links", str(fill_wheelhouse(lab, wheel)))
    assert shown.code == 8
    assert wheel not in shown.document["errors"][0]["hints"][-1]


@pytest.mark.skipif(sys.platform != "linux", reason="the page's commands are bash's")
def test_a_folder_as_mirror_gives_the_lock_of_the_index(lab: Lab) -> None:
    """What docs/how-to/mirror.md makes of wheels that one has locks the same bytes as the index."""
    wheel, data = make_wheel("torch", "2.13.0+cpu", {})
    lab.server.files[f"files/{wheel}"] = data
    quoted = wheel.replace("+", "%2B")
    lab.server.files[f"whl/cpu/{quoted}"] = data
    digest = sha256(data).hexdigest()
    lab.server.files["whl/cpu/torch/"] = f'<a href="../{quoted}#sha256={digest}">{wheel}</a>'.encode()
    lab.server.types["whl/cpu/torch/"] = "text/html"
    lab.offer("tinyapp", "1.0")
    lab.write_profile(changes={"/ok/torch": "/ok/whl/cpu"})
    assert lab.run("lock", "tiny").code == 0
    wanted = lab.lockfile.read_bytes()
    lab.lockfile.unlink()
    shutil.rmtree(lab.data)
    for name in [name for name in lab.server.files if name.startswith("whl/")]:
        del lab.server.files[name]

    fill_wheelhouse(lab, wheel)
    (block,) = [body for _, body in read_blocks(read_page("docs/how-to/mirror.md")) if "cp wheels/" in body]
    making, _, locking = block.rstrip("\n").rpartition("\n")
    assert locking == "provision lock mine --mirrors pytorch.yaml"
    script = making.replace("https://download.pytorch.org/", f"{lab.server.url}/ok/")
    subprocess.run(["bash", "-euc", script], cwd=lab.root, check=True)
    # the mirror holds for a prefix, and the lab's default index has the same
    lab.environ["PIP_INDEX_URL"] = lab.server.url.replace("127.0.0.1", "localhost") + "/ok/simple"
    locked = lab.run("lock", "tiny", "--mirrors", "pytorch.yaml")
    assert locked.code == 0, locked.err
    assert lab.lockfile.read_bytes() == wanted
