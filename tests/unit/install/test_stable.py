"""The stable path as rules: which programs it has on a platform, and what activation uses of it."""

from pathlib import Path

from provisioner.install.activation import find_activation
from provisioner.install.generations import EnvironmentHome, Generation
from provisioner.install.receipt import Receipt
from provisioner.install.stable import find_stable, format_launchers


def test_windows_gets_batch_files() -> None:
    """There `pip`, `conda` and `uv` are batch files, and tools find Python through the junction."""
    prefix = Path("/data/environments/demo/generations/1-00000000")
    generation = Generation(
        number=1,
        prefix=prefix,
        receipt=Receipt(
            environment="demo",
            profile="demo",
            fingerprint="f",
            platform="win-64",
            base="conda",
            python="3.11.7",
            prefix=str(prefix),
            created_at="",
        ),
    )
    files = format_launchers(EnvironmentHome(data=Path("/data")), generation)
    assert set(files) == {f"{name}.cmd" for name in ("pip", "pip3", "conda", "mamba", "micromamba", "uv")}
    assert all(text.replace("\r\n", "").count("\n") == 0 for text in files.values())
    assert 'if /i "%~1 %~2"=="pip install" goto answer\r\n' in files["uv.cmd"]
    assert "provision add demo --conda PACKAGE" in files["conda.cmd"]
    assert find_stable(generation).python == Path("/data/environments/demo/env/python.exe")
    assert str(prefix) in find_activation(generation, following=True).path
