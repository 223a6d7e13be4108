"""Follow the probe: read its records, keep its deadlines, judge what it measured, name what went wrong."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

from provisioner.events import Listener, StageFinished, StageStarted
from provisioner.validate.checks import CHECKS
from provisioner.validate.checks.failure import (
    Recogniser,
    explain_error,
    explain_exit,
    explain_exit_crash,
    explain_protocol,
    explain_timeout,
)
from provisioner.validate.checks.finding import Finding, choose_hints
from provisioner.validate.model import JSON, CheckRecord, Status, ValidationRequest, parse_strict_json
from provisioner.validate.models.bpe import Tokenizer
from provisioner.validate.stages import STAGES

_LONGEST_RECORD_BYTES = 4 << 20


class RunningProbe(Protocol):
    """A started program, as `ChildProcess` is one."""

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        ...

    @property
    def stdout(self) -> str:
        """Head and tail of its standard output."""
        ...

    @property
    def stderr(self) -> str:
        """Head and tail of its standard error."""
        ...

    def lines(self, deadline: float) -> Iterator[tuple[str, bytes]]:
        """Yield ``(source, line)`` until it ends or ``time.monotonic`` reaches the deadline."""
        ...

    def stop(self) -> None:
        """End it and its children."""
        ...


ProbeRunner = Callable[..., AbstractContextManager[RunningProbe]]
"""Starts a program for the length of a ``with`` block, as ``engines.process.run.start_program`` does."""


class _ProtocolError(Exception):
    """A record is not one that our probe writes here and now."""


@dataclass(kw_only=True)
class Watch:
    """One probe from its start to its end.

    Attributes:
        plan: The stages that the probe was asked for, in order.
        tokenizer: Turns the probe's token numbers into text, where the weights came with a vocabulary.
        records: One per stage that was reached, in order.
        failure: What went wrong, None while nothing did.
    """

    probe: RunningProbe
    request: ValidationRequest
    plan: Sequence[str]
    nonce: str
    recognise: Recogniser
    on_event: Listener
    tokenizer: Tokenizer | None = None
    records: list[CheckRecord] = field(default_factory=list)
    failure: Finding | None = None
    _stage: str = "start"
    _stage_started: float = field(default_factory=time.monotonic)
    _deadline: float = 0.0

    def follow(self) -> None:
        """Read records until the probe has ended or something has failed; the probe is gone afterwards."""
        self._enter("start")
        while self.failure is None:
            line = self._next_record()
            if line is None:
                self._end_without_record()
                break
            try:
                self._take(line)
            except _ProtocolError as error:
                self._fail(explain_protocol(self._stage, str(error)))
        self.probe.stop()

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self._stage_started = time.monotonic()
        self._deadline = self._stage_started + self.request.deadline_s(stage)

    def _next_record(self) -> bytes | None:
        """Return the next record, None when the probe ended or the stage's time is over."""
        return next((line for source, line in self.probe.lines(self._deadline) if source == "channel"), None)

    def _take(self, line: bytes) -> None:
        """Act on one record.

        Raises:
            _ProtocolError: It is damaged, forged or out of order.
        """
        document = self._parse(line)
        event, stage = document.get("event"), document.get("stage")
        position = self.plan.index(self._stage) if self._stage in self.plan else -1
        if event == "started":
            expected = self.plan[position + 1] if position + 1 < len(self.plan) else None
            finished = position < 0 or (self.records and self.records[-1].name == self._stage)
            if stage != expected or not finished:
                raise _ProtocolError(f"`{stage}` started out of order")
            self._enter(str(stage))
            self.on_event(StageStarted(stage="validate", detail=f"{stage}: {STAGES[str(stage)].doing}"))
        elif event in ("finished", "raised"):
            if stage != self._stage or stage not in self.plan or self._is_recorded(str(stage)):
                raise _ProtocolError(f"a second or misplaced result for `{stage}`")
            self._judge(document)
        elif event == "done":
            if len(self.records) != len(self.plan):
                raise _ProtocolError("it claims to be done before its last check")
            self._enter("exit")
        else:
            raise _ProtocolError("an unknown event")

    def _parse(self, line: bytes) -> dict[str, JSON]:
        if len(line) > _LONGEST_RECORD_BYTES:
            raise _ProtocolError("a record of more than 4 MiB")
        if not line.endswith(b"\n"):
            raise _ProtocolError("a record that breaks off")
        try:
            document = parse_strict_json(line)
        except (ValueError, TypeError, RecursionError) as error:
            raise _ProtocolError("a record that is not JSON") from error
        if document.get("nonce") != self.nonce:
            raise _ProtocolError("a record without the nonce of this run")
        return document

    def _is_recorded(self, stage: str) -> bool:
        return any(record.name == stage for record in self.records)

    def _judge(self, document: Mapping[str, JSON]) -> None:
        """Turn a result into a record."""
        stage = self._stage
        try:
            measured: dict[str, JSON] = dict(document["measured"])
            seconds = round(float(document["seconds"]), 3)
            if self.tokenizer is not None and "tokens" in measured:
                measured["text"] = self.tokenizer.decode(measured["tokens"])
            if stage == "weights":
                measured.setdefault("prompt", self.request.prompt)
            if document["event"] == "raised":
                finding: Finding | None = explain_error(
                    stage, document["error"], measured, self.request, recognise=self.recognise
                )
                measured["error"] = str(document["error"]["trace"])
            else:
                finding = CHECKS[stage](measured, self.request) if stage in CHECKS else None
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise _ProtocolError(f"a result without what `{stage}` measures ({error!r})") from error
        if finding is not None:
            self._fail(finding, seconds=seconds, measured=measured)
            return
        self.records.append(CheckRecord(name=stage, status=Status.PASSED, seconds=seconds, measured=measured))
        self.on_event(StageFinished(stage="validate", seconds=seconds, detail=stage))

    def _end_without_record(self) -> None:
        """Classify an exit or a silence."""
        exit_code = self.probe.exit_code
        deadline_s = self.request.deadline_s(self._stage)
        if self._stage == "exit":
            if exit_code == 0:
                self._pass_exit()
            else:
                self._fail(explain_exit_crash(exit_code, deadline_s, backend=self.request.backend))
        elif exit_code is None:
            self._fail(explain_timeout(self._stage, deadline_s))
        elif exit_code == 0:
            self._fail(explain_protocol(self._stage, "the probe ended early and without an error"))
        else:
            self._fail(explain_exit(self._stage, exit_code, self.probe.stderr))

    def _pass_exit(self) -> None:
        seconds = time.monotonic() - self._stage_started
        self.records.append(CheckRecord(name="exit", status=Status.PASSED, seconds=seconds))

    def _fail(
        self, finding: Finding, *, seconds: float | None = None, measured: Mapping[str, JSON] | None = None
    ) -> None:
        """Write the record of the stage that failed; before the first stage that is `packages`."""
        finding = replace(finding, hints=choose_hints(finding.hints, self.request.device_kind))
        self.failure = finding
        stage = "packages" if self._stage == "start" else self._stage
        if self._is_recorded(stage):  # between two stages: the next one never began
            stage = (*self.plan, "exit")[len(self.records)]
        if seconds is None:
            seconds = time.monotonic() - self._stage_started
        self.records.append(finding.as_record(stage, seconds=seconds, measured=measured or {}))
