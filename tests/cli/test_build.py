"""Lock, build, look, repair and remove an environment through the command line."""

from tests.cli.lab import Lab


def test_locks_and_builds(lab: Lab) -> None:
    """A profile is locked and built; a second run finds nothing to do."""
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.offer("tinyapp", "1.0")
    lab.write_profile()
    out = lab.run("lock", "tiny", "--json")
    print(out.out, out.err)
    assert out.code == 0
    out = lab.run("create", "tiny", "--no-validate", "--json")
    print(out.out, out.err)
    assert out.code == 0
