"""``provision report``: write what was validated on this machine, for sharing."""

from provisioner.cli.named_files import check_output, write_output
from provisioner.cli.options import argument, flag, settings_flags, verb
from provisioner.diagnose.evidence.describe import write_evidence
from provisioner.pipeline.evidence import make_evidence
from provisioner.pipeline.settings import Settings
from provisioner.render.progress import show_progress
from provisioner.render.result import Result


@verb("report")
@argument("name", metavar="[ENVIRONMENT]", required=False)
@flag("-o", "--output", metavar="FILE", help="The file to write; without it, the document goes to stdout.")
@settings_flags
def command(*, settings: Settings, name: str | None, output: str | None) -> Result:
    """Write the last validation of ENVIRONMENT and this machine's facts into one file, for sharing.

    It holds versions, names of products and figures: no name of a user, a host or a profile of your own, no
    path, no address.
    """
    check_output(output, "--output")
    with show_progress(settings.environ) as listener:
        document = make_evidence(settings, name, on_event=listener)
    text = write_evidence(document)
    if output is None:
        return Result(data={"evidence": document}, text=text.rstrip(), verbatim=True)
    write_output(output, text, "--output")
    return Result(data={"evidence": document, "saved": output}, text=output)
