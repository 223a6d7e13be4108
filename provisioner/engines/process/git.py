"""git: files of earlier revisions."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.engines.process.run import start_program

_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Git:
    """A git program, asked from a folder of a repository.

    Attributes:
        program: Its path.
        folder: Where it is asked from; places are relative to it, with ``/``.
        environ: The process's environment, which git needs whole.
    """

    program: str
    folder: Path
    environ: Mapping[str, str]

    def is_revision(self, text: str) -> bool:
        """Tell whether git knows a commit of that name."""
        content, _ = self._ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}")
        return content is not None

    def read_file(self, revision: str, place: str) -> tuple[bytes | None, str]:
        """Return a file as it was at a revision, or None and in one line why git did not say.

        Returns:
            ``(None, "")`` where that revision has no such file.
        """
        content, said = self._ask("cat-file", "blob", f"{revision}:./{place}")
        missing = "does not exist in" in said or "exists on disk, but not in" in said
        return content, "" if missing else said

    def list_files(self, revision: str) -> tuple[str, ...]:
        """Return the names of the files that the folder had at a revision."""
        content, _ = self._ask("ls-tree", "--name-only", "-z", "--end-of-options", revision, "./")
        return tuple(name.decode("utf-8", "replace") for name in (content or b"").split(b"\0") if name)

    def _ask(self, *words: str) -> tuple[bytes | None, str]:
        """Return what git printed, or None and in one line why it did not."""
        environ = {**self.environ, "LC_ALL": "C"}
        with start_program([self.program, *words], env=environ, cwd=self.folder) as child:
            lines = [
                line for source, line in child.lines(time.monotonic() + _TIMEOUT_S) if source == "stdout"
            ]
        if child.exit_code == 0:
            return b"".join(lines), ""
        said = child.stderr.strip().partition("\n")[0].removeprefix("fatal: ").rstrip(".")
        return None, said or "it did not answer"
