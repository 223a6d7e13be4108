"""When we crash: keep what a bug report needs in a file, and say where it is."""

import platform
import tempfile
import traceback
from collections.abc import Sequence

from provisioner import __version__
from provisioner.engines.net.addresses import redact_text
from provisioner.errors import InternalError


def write_crash_report(error: BaseException, arguments: Sequence[str]) -> InternalError:
    """Write the report and return the error that names it; addresses in it lose their secrets."""
    lines = [
        f"provision {__version__}, python {platform.python_version()}, {platform.platform()}",
        f"arguments: {' '.join(arguments)}",
        "",
        *traceback.format_exception(error),
    ]
    text = redact_text("\n".join(lines))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="provision-crash-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        path, hint = file.name, f"send the report `{file.name}` with the command that you ran"
    except OSError:
        path, hint = None, "run it again where the folder of temporary files can be written, for a report"
    return InternalError(
        "internal.crash",
        f"`provision` failed with {type(error).__name__}: {redact_text(str(error))}; this is our bug",
        hints=[hint],
        context={"report": path},
    )
