"""The catalogue's types: known failures, and when each is the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from packaging.specifiers import SpecifierSet

from provisioner.diagnose.failures.signature import Signature


class Severity(StrEnum):
    """What a failure does to the run, the worst first."""

    FATAL = "fatal"
    WARNING = "warning"  # the run goes on; its result is wrong or slow
    BENIGN = "benign"  # noise; never the answer where there is another


class Confidence(StrEnum):
    """How well the cause is backed: by a maintainer, the project's documents or source, several users."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Phase(StrEnum):
    """When the failure shows itself."""

    RESOLVE = "resolve"
    IMPORT = "import"
    DEVICE = "device"
    LOAD = "load"
    FORWARD = "forward"


class Language(StrEnum):
    """What titles, causes and cures are written in."""

    EN = "en"
    ZH = "zh"


class System(StrEnum):
    """Where the failure was reported."""

    LINUX = "linux"
    WINDOWS = "windows"
    WSL2 = "wsl2"


class IntelSign(StrEnum):
    """What a sign of an Intel GPU in the log, or of other hardware, means for a failure."""

    IMPLIED = "implied"  # only Intel's software prints the message; other hardware alone refutes it
    REQUIRED = "required"  # other programs print it too: only beside a sign of Intel
    IRRELEVANT = "irrelevant"  # cause and cure hold on any hardware


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What makes a cause likely: everything in ``present`` is in the log, and nothing of ``absent``."""

    present: tuple[Signature, ...]
    absent: tuple[Signature, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One of several possible causes of the same message.

    Attributes:
        text: The cause in words.
        step: What to do first where there is evidence, of a symptom.
        evidence: Any of these makes this cause likely.
    """

    text: str
    step: str = ""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class General:
    """What is answered, at low confidence, where the log shows no hardware at all.

    Attributes:
        title: The failure without a word about Intel.
    """

    title: str
    cause: str
    fix: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """A condition on one installed distribution.

    Attributes:
        name: Normalised name (PEP 503).
        version: Versions meant; pre-releases count.
        local: The local version label begins with one of these; empty for any.
        local_not: The local version label begins with none of these.
    """

    name: str
    version: SpecifierSet
    local: tuple[str, ...] = ()
    local_not: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileCount:
    """A condition on how many files of the environment match ``glob`` (``/`` separated, case ignored)."""

    glob: str
    at_least: int = 0
    at_most: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What an environment holds, all of it, where the failure is to be expected.

    Attributes:
        systems: Where it applies; empty for everywhere.
        installed: Distributions that are there.
        absent: Normalised names of which none is there.
        minor_differs: Two names whose versions differ in major or minor.
        files: Counts of files; not judged where the files are not known.
    """

    systems: tuple[System, ...] = ()
    installed: tuple[Installed, ...] = ()
    absent: tuple[str, ...] = ()
    minor_differs: tuple[str, str] | None = None
    files: tuple[FileCount, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A program that logs are of.

    Attributes:
        signatures: Any of them in the log names the program.
        own_environment: It brings its own environment, so no profile of ours is a cure.
        intel: It is made for Intel's hardware: a log of it that shows no other is of an Intel machine.
    """

    name: str
    title: str
    signatures: tuple[Signature, ...]
    own_environment: bool = True
    intel: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Signs:
    """What is looked for in a log beside failures (``signs.yaml``).

    Attributes:
        intel: Signs of an Intel GPU or of software for it.
        other: Signs of other hardware.
        unrelated: Signs of programs that do not compute: games, browsers.
        programs: The most specific first.
        systems: Signs by operating system.
        cards: Signs by GPU, as a person names it.
        architectures: Signs by generation of GPU.
        versions: Where the version of a package stands, by package.
    """

    intel: tuple[Signature, ...] = ()
    other: tuple[Signature, ...] = ()
    unrelated: tuple[Signature, ...] = ()
    programs: tuple[Program, ...] = ()
    systems: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)
    cards: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)
    architectures: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)
    versions: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A known failure.

    Attributes:
        cause: At least one; the order is the order of likelihood without evidence.
        fix: What to do, in words.
        hints: The same as one imperative each, where the catalogue lists them.
        hints_by_program: The imperatives for logs of these programs, of a symptom.
        cause_by_program: The cause for logs of these programs, of a symptom.
        fix_elsewhere: The same without a command of ours, for programs that bring their own environment.
        fix_by_program: What to do instead where the log is of one of these programs (``Signs.programs``).
        intel: What signs of hardware mean for this failure.
        general: The answer without any such sign, for ``IntelSign.REQUIRED``; None for none.
        code: Validation's word for the cause, where an exception of the probe can have it.
        signatures: Any of them in the log is the failure.
        requires: Where not empty, the log must hold one of them as well.
        unless: The log must hold none of them.
        caused_by: Ids of failures that are the root of this one where both are found.
        fallback: It says that something failed and hardly why: answered only where nothing as bad says more.
        symptom: It says only what kind of failure there is: answered only where no other entry is found but
            noise, and of several symptoms the first of the file.
        state: Facts (``stack.yaml``) that can be the cause, the likeliest first; of a fallback those of
            ``Stack.of_fallbacks`` follow.
        examples: Quoted from the sources; each is recognised as this failure first.
        conditions: Any of them holds in an environment that has, or will have, the failure.
    """

    id: str
    title: str
    phase: Phase
    systems: tuple[System, ...]
    severity: Severity
    confidence: Confidence
    cause: tuple[Cause, ...]
    fix: str
    hints: tuple[str, ...] = ()
    hints_by_program: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cause_by_program: Mapping[str, str] = field(default_factory=dict)
    fix_elsewhere: str = ""
    fix_by_program: Mapping[str, str] = field(default_factory=dict)
    intel: IntelSign = IntelSign.IMPLIED
    general: General | None = None
    code: str | None = None
    signatures: tuple[Signature, ...]
    requires: tuple[Signature, ...] = ()
    unless: tuple[Signature, ...] = ()
    caused_by: tuple[str, ...] = ()
    fallback: bool = False
    symptom: bool = False
    state: tuple[str, ...] = ()
    examples: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    sources: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Return its place among failures that are found together: the worst first."""
        return list(Severity).index(self.severity)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A fact about programs, drivers and cards that explains failures where a log shows what it is about.

    Attributes:
        cause: In words; ``{version}`` is the package's in the log, ``{released}`` its month, ``{card}``
            the GPU.
        steps: What to do.
        programs, systems, architectures: The log shows one of them; empty for any.
        package: The log shows a version of it.
        since, below: The version is not less than the one, and less than the other.
        build_below: The version's last number but patches, a driver's build, is less than this.
        local: The version's local label begins so.
        differs_from: The log shows a version of this package too, of another major or minor release.
        replaces: Steps of symptoms that this one makes needless; without a step it puts them first.
        shows: Of each row the log holds one.
        lacks: The log holds none of them.
        proves: The log that shows it has the cause, rather than a likely one.
        sole: It leaves no room for other causes: what it says is the whole answer.
    """

    cause: str
    steps: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    package: str | None = None
    since: str | None = None
    below: str | None = None
    build_below: int | None = None
    local: str = ""
    differs_from: str | None = None
    shows: tuple[tuple[Signature, ...], ...] = ()
    lacks: tuple[Signature, ...] = ()
    proves: bool = False
    sole: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """What is known of releases (``stack.yaml``).

    Attributes:
        released: When a release came out, in words, by package and ``major.minor``.
        facts: By name.
        of_fallbacks: Names of facts that are said before the answer of a fallback.
    """

    released: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    of_fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """Every known failure, by id, in the file's order, and what a log shows of its surroundings.

    Attributes:
        settings: Variables with their values and switches that steps name, each with its signature.
        shown: How evidence stands behind a cause; ``{}`` is the line of the log.
    """

    failures: Mapping[str, Failure]
    signs: Signs = field(default_factory=Signs)
    stack: Stack = field(default_factory=Stack)
    settings: Mapping[str, Signature] = field(default_factory=dict)
    shown: str = "{}"
