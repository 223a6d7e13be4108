"""What validation is asked and what it answers."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from provisioner.errors import ValidateError
from provisioner.install.plan import VENV
from provisioner.profile.model import Profile, TorchVariant
from provisioner.validate.stages import STAGES, START_DEADLINE_S
from provisioner.validate.tolerances import OPENVINO_TOLERANCE, RANDOM_TOLERANCES, TOLERANCES

SCHEMA = "provision.report/1"

OWN_FAMILY = "own"
"""The family in the report of a profile that names its own model and no family."""

JSON = Any
"""A value that `json` can write: the measured values have no narrower common type."""


class Status(StrEnum):
    """How one check ended; ``error`` is a check that could not be made."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


class Verdict(StrEnum):
    """What all checks together say; ``unvalidated``: the device that was asked for is absent."""

    PASSED = "passed"
    FAILED = "failed"
    UNVALIDATED = "unvalidated"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRecord:
    """One check.

    Attributes:
        name: One of ``STAGES``.
        measured: What was seen, passed or not.
        reason: One sentence: why it did not pass, or why it was skipped.
        code: Cause in one word (``crash``, ``timeout``, ``device_missing``), None when it passed.
    """

    name: str
    status: Status
    seconds: float
    measured: Mapping[str, JSON] = field(default_factory=dict)
    reason: str | None = None
    hints: tuple[str, ...] = ()
    code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The account of one validation.

    Attributes:
        stage: The check that decided a verdict other than passed.
        code: Its cause in one word; ``validate.<code>`` is the error's code.
        device: Asked, kind, name, driver and what else the device stage saw.
        versions: Distribution name, or ``python``, to version.
        environment: Name or folder of the environment.
        family: The profile's, or empty.
        asked: `digest_validation` of the profile.
        not_proven: Sentences: what a reader may expect of this report and it does not show.
        created_at: ISO 8601 in UTC.
        output: Tail of what the probe printed, only where it helps: not for a passed report.
    """

    verdict: Verdict
    stage: str | None = None
    reason: str | None = None
    hints: tuple[str, ...] = ()
    code: str | None = None
    records: tuple[CheckRecord, ...] = ()
    device: Mapping[str, JSON] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""
    family: str = ""
    backend: str = ""
    precision: str = ""
    lock_fingerprint: str | None = None
    asked: str = ""
    not_proven: tuple[str, ...] = ()
    created_at: str = ""
    tool_version: str = ""
    output: str = ""

    @property
    def seconds(self) -> float:
        """Return the seconds that all checks took together."""
        return sum(record.seconds for record in self.records)

    def find_record(self, name: str) -> CheckRecord | None:
        """Return one check's record, None if it was never reached."""
        return next((record for record in self.records if record.name == name), None)

    def as_json(self) -> dict[str, JSON]:
        """Return the report as a JSON object of schema ``provision.report/1``."""
        return {"schema": SCHEMA} | asdict(self)


def digest_validation(profile: Profile) -> str:
    """Return a digest of what a profile asks to be proven: another one makes a report one of the past."""
    document = json.dumps([profile.family, asdict(profile.validation)], sort_keys=True)
    return sha256(document.encode()).hexdigest()


def parse_report(document: Mapping[str, JSON]) -> Report:
    """Read a report back.

    Raises:
        ValidateError: It is not a report of this schema.
    """
    if document.get("schema") != SCHEMA:
        raise _unusable_report(f"has schema `{document.get('schema')}`, not `{SCHEMA}`")
    try:
        values = {"asked": "", **document}  # which older reports lack
        values = {name: values[name] for name in Report.__dataclass_fields__}
        values["verdict"] = Verdict(values["verdict"])
        values["records"] = tuple(_parse_record(record) for record in values["records"])
        values |= {name: tuple(map(str, values[name])) for name in ("hints", "not_proven")}
        values |= {name: dict(values[name]) for name in ("device", "versions")}
        return Report(**values)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _unusable_report(f"is damaged: {error!r}") from error


def _parse_record(document: Mapping[str, JSON]) -> CheckRecord:
    values = {name: document[name] for name in CheckRecord.__dataclass_fields__}
    if not isinstance(values["name"], str):
        raise TypeError("a check has no name")
    values["status"] = Status(values["status"])
    values["hints"] = tuple(map(str, values["hints"]))
    values |= {"seconds": float(values["seconds"]), "measured": dict(values["measured"])}
    return CheckRecord(**values)


def _unusable_report(why: str) -> ValidateError:
    return ValidateError(
        "validate.report", f"the stored report {why}", hints=["run `provision validate` again"]
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationRequest:
    """Everything that decides how an environment is checked.

    Attributes:
        interpreter: The environment's Python.
        prefix: The environment's folder; modules from elsewhere are offenders.
        base: ``venv`` or ``conda``: what the environment was built on.
        platform: ``linux-64`` or ``win-64``.
        device: ``cpu``, ``xpu``, ``xpu:1``, ``cuda``, …
        profile_device: The kind of device that the profile is for; another ``device`` proves less, and the
            report says so.
        torch_variant: The build of torch that the profile wants; None: not checked.
        locked: Normalised distribution name to locked version, of everything that pip installs. Empty: not
            checked.
        manifest: Digests of the lists of files that the packages brought; None: not known.
        transformers: Specifier set that the family needs, or None.
        weights_dir: Folder made by `models.smollm2.convert_gguf`; None for seeded random weights.
        expected: Text that the continuation of ``prompt`` must contain; None for random weights.
        tolerance: Largest relative norm of the difference of logits, of the model itself; None: by precision.
        width: Whether to run the layers of production size.
        imports: Further modules that must import.
        commands: Argument lists that must exit 0, the program looked up in the environment.
        env: Variables of the profile; ``{prefix}`` is replaced by the folder.
        host_env: Our own environment, of which a few variables are let through.
        deadlines_s: Check name to seconds, in place of those of ``STAGES``.
        memory_limit_bytes: Cap on the probe's own memory (Linux), None for none.
        model_dir: A user's own weights and tokenizer, in place of ``weights_dir``: a folder, or with
            ``openvino`` a GGUF file.
        trust_remote_code: Whether code that lies in ``model_dir`` may run.
    """

    interpreter: Path
    prefix: Path
    device: str
    family: str
    precision: str
    backend: str = "ipex-llm"
    base: str = VENV
    platform: str = "linux-64"
    profile_device: str | None = None
    torch_variant: TorchVariant | None = None
    locked: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, str] | None = None
    transformers: str | None = None
    weights_dir: Path | None = None
    prompt: str | None = None
    expected: str | None = None
    tolerance: float | None = None
    width: bool = False
    imports: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    host_env: Mapping[str, str] = field(default_factory=dict)
    deadlines_s: Mapping[str, float] = field(default_factory=dict)
    memory_limit_bytes: int | None = None
    model_dir: Path | None = None
    trust_remote_code: bool = False
    environment: str = ""
    lock_fingerprint: str | None = None
    asked: str = ""

    @property
    def is_windows(self) -> bool:
        """Tell whether the environment is one for Windows."""
        return self.platform == "win-64"

    @property
    def device_kind(self) -> str:
        """Return the device without its number."""
        return self.device.partition(":")[0]

    @property
    def largest_difference(self) -> float:
        """Return the tolerance that holds: the profile's, else that of the weights and the precision."""
        if self.tolerance is not None:
            return self.tolerance
        if self.backend == "openvino":
            return OPENVINO_TOLERANCE
        trained = self.weights_dir is not None or self.model_dir is not None
        return (TOLERANCES if trained else RANDOM_TOLERANCES)[self.precision]

    def deadline_s(self, stage: str) -> float:
        """Return the seconds that a check may take."""
        usual = START_DEADLINE_S if stage == "start" else STAGES[stage].deadline_s
        return self.deadlines_s.get(stage, usual)


def parse_strict_json(line: bytes) -> dict[str, JSON]:
    """Read one JSON object; NaN and infinity, which Python's reader would take, are errors.

    Raises:
        ValueError: It is not one JSON object.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"`{name}` is not a number of JSON")

    document = json.loads(line, parse_constant=refuse)
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return document
