import json
import textwrap
from collections.abc import Callable

import pytest

from provisioner.diagnose.failures.answer import Match
from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.diagnose.failures.logtext import decode_stream
from provisioner.diagnose.failures.model import Severity

CATALOGUE = load_catalogue()
IDS = list(CATALOGUE.failures)

SEED = """\
NotImplementedError: The following operation failed in the TorchScript interpreter.
Traceback of TorchScript (most recent call last):
RuntimeError: Could not run 'torch_ipex::mul_add' with arguments from the 'CPU' backend. This could be
because the operator doesn't exist for this backend. 'torch_ipex::mul_add' is only available for these
backends: [XPU].
"""


def explain(text: str | bytes) -> tuple[Match, ...]:
    data = text if isinstance(text, bytes) else text.encode()
    return explain_text(decode_stream(data[at : at + 1000] for at in range(0, len(data), 1000)), CATALOGUE)


def ids(text: str | bytes) -> list[str]:
    return [match.id for match in explain(text)]


@pytest.mark.parametrize("name", IDS)
def test_an_entry_alone_claims_its_examples(name: str) -> None:
    """Every example of an entry is recognised as that entry; others that claim it are its symptoms."""
    for example in CATALOGUE.failures[name].examples:
        first, *others = ids(example)
        assert first == name
        assert all(name in CATALOGUE.failures[other].caused_by for other in others)


def hard_wrapped(text: str) -> str:
    """Cut at 80 columns, in the middle of words, as a terminal does."""
    return "\n".join(line[at : at + 80] for line in text.split("\n") for at in range(0, len(line) or 1, 80))


def boxed(text: str) -> str:
    """Wrap at words inside a box, as rich does."""
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, 76) or [""]]
    return "\n".join(["╭" + "─" * 78 + "╮", *(f"│ {line:<76} │" for line in lines), "╰" + "─" * 78 + "╯"])


def piped(text: str) -> str:
    """Show the text as the output of a subprocess, as pip does."""
    lines = [line[at : at + 60] for line in text.split("\n") for at in range(0, len(line) or 1, 60)]
    head = "  error: subprocess-exited-with-error\n\n  \N{MULTIPLICATION SIGN} did not run successfully.\n"
    head += "  ╰─> [9 lines of output]\n"
    return head + "\n".join(f"      \x1b[31m│\x1b[0m {line}" for line in lines)


def coloured(text: str) -> str:
    """Colour every other character, and leave a title sequence and a link in the text."""
    body = "".join(
        f"\x1b[1;31m{char}\x1b[0m" if at % 2 and char != "\n" else char for at, char in enumerate(text)
    )
    return "\x1b]0;python\x07\x1b[2K" + body + "\x1b]8;;https://example.org\x1b\\more\x1b]8;;\x1b\\"


TRANSFORMATIONS: dict[str, Callable[[str], str | bytes]] = {
    "hard wrap": hard_wrapped,
    "rich box": boxed,
    "pip output": piped,
    "colours": coloured,
    "colours, escape character lost": lambda text: text.replace(" ", "[0m [31m"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "UTF-16 with mark, as PowerShell": lambda text: hard_wrapped(text).replace("\n", "\r\n").encode("utf-16"),
    "UTF-16 without mark": lambda text: (text + "\n" + "x" * 400).encode("utf-16-be"),
    "UTF-8 with mark": lambda text: text.encode("utf-8-sig"),
    "GB18030 Chinese page": lambda text: f"运行模型时报错，求助：\n{text}\n如何解决？".encode("gb18030"),  # noqa: RUF001 # as users paste it
    "Chinese page": lambda text: f"环境：Windows 11，显卡是锐炫。\n{text}\n请问怎么办，谢谢！",  # noqa: RUF001 # as users paste it
    "quotes of a word processor": lambda text: text.replace("'", "\u2019").replace('"', "\u201d"),
    "HTML": lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&#39;"),
    "quoted in a reply": lambda text: "\n".join("> " + line for line in text.split("\n")),
    "progress before": lambda text: "Downloading 10%\rDownloading 90%\r" + text,
    "far down": lambda text: "INFO nothing happens here\n" * 3_000 + text,
    "Windows paths": lambda text: text.replace("/", "\\"),
    "capitals lost": str.lower,
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_examples_are_recognised_however_they_were_copied(name: str) -> None:
    """Wraps, boxes, colours, encodings and quotes do not hide any entry's example."""
    change = TRANSFORMATIONS[name]
    missed = {
        failure.id: found
        for failure in CATALOGUE.failures.values()
        for example in failure.examples
        if (found := ids(change(example)))[:1] != [failure.id]
    }
    assert missed == {}


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        ("ipex-llm 2.2.0\nintel-extension-for-pytorch   2.3.110.post0+xpu\n", "1. A separate IPEX"),
        ("ipex-llm 2.2.0\ntorch 2.1.0a0+cxx11.abi\nipex 2.3.110+xpu\n", "1. A separate IPEX"),
        ("ipex-llm 2.2.0\nbigdl-core-xe-23 2.6.0\nipex 2.3.110+xpu\ndevice: cpu\n", "1. CPU fallback"),
        ("ipex-llm 2.2.0\nbigdl-core-xe-all 2.6.0\nipex 2.6.10+xpu\n", "1. A separate IPEX"),
        ("bigdl-llm\nName: intel_extension_for_pytorch\nVersion: 2.1.20+xpu\n", "1. A separate IPEX"),
        ("装了 ipex-llm 2.2.0 之后又安装了 intel-extension-for-pytorch\n", "1. A separate IPEX"),
        ("运行设备为 cpu\n", "1. CPU fallback"),
        ("ipex-llm      2.1.0b20240820\nintel-extension-for-pytorch 2.1.30+xpu\n", "1. A separate IPEX"),
        ("pip install --pre ipex-llm[xpu]\npip install intel_extension_for_pytorch\n", "1. A separate IPEX"),
        ("intel_extension_for_pytorch has already been automatically imported", "1. A separate IPEX"),
        ("INFO: loading LLM with device='cpu'\n", "1. CPU fallback"),
        ("python cli_demo.py --device cpu\n", "1. CPU fallback"),
        (">>> torch.xpu.is_available()\nFalse\n", "1. CPU fallback"),
        ("torch                         2.2.2+cpu\n", "1. Version mismatch"),
        ("torch==2.3.1\nintel_extension_for_pytorch==2.1.10+xpu\n", "1. Version mismatch"),
        ("torch==2.1.0a0+cxx11.abi\nintel_extension_for_pytorch==2.1.10+xpu\n", "1. A separate IPEX"),
    ],
)  # fmt: skip
def test_the_seed_names_the_cause_that_the_log_shows(evidence: str, cause: str) -> None:
    """The evidence in the log decides which of the three causes comes first; the cure is in the fix."""
    for text in (
        evidence + SEED,
        SEED + evidence,
        f"我按教程装好以后报错：\n{SEED}环境如下：\n{evidence}谢谢",  # noqa: RUF001 # as users paste it
    ):
        match = explain(text)[0]
        assert match.id == "ipex-mul-add-cpu-backend"
        assert match.cause.startswith(cause)
        assert match.cause.count("\n") == 2
    for word in (
        "python=3.11",
        "libuv",
        "ipex-llm[xpu]",
        "never install",
        "transformers",
        "torch.xpu.is_available",
    ):
        assert word in match.fix


def test_noise_is_never_first() -> None:
    """A benign warning comes last, wherever it stands in the log."""
    noise = CATALOGUE.failures["torchvision-image-warning"].examples[0]
    found = explain(f"{noise}\n{SEED}")
    assert [match.id for match in found] == ["ipex-mul-add-cpu-backend", "torchvision-image-warning"]
    assert found[-1].severity is Severity.BENIGN


def test_a_fallback_is_answered_only_where_nothing_says_more() -> None:
    """What says that something failed and not why is left out beside a cause, and answered without one."""
    crash = "torch 2.9.0+xpu\nSegmentation fault (core dumped)\n"
    assert ids(crash) == ["xpu-segfault"]
    assert ids(crash + "RuntimeError: No XPU devices are available.") == ["no-xpu-devices-available"]
    noise = CATALOGUE.failures["torchvision-image-warning"].examples[0]
    assert ids(crash + noise) == ["xpu-segfault", "torchvision-image-warning"]


def test_the_root_comes_before_its_symptom() -> None:
    """A failure that another one names as its cause comes first, also where it stands below."""
    symptom = "RuntimeError: Failed to load the backend extension: intel_extension_for_pytorch.\n"
    root = "ImportError: libsycl.so.8: cannot open shared object file: No such file or directory\n"
    for text in (symptom + root, root + symptom):
        assert ids(text) == ["libsycl-so-missing", "ipex-backend-autoload"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No module named 'bigdl_core_xe'", ["bigdl-core-module-missing"]),
        ("No module named 'bigdl.llm'", ["ipex-llm-module-missing"]),
        ("ipex\n[WinError 126] Error loading C:\\torch\\lib\\c10_xpu.dll", ["win126-c10-xpu"]),
        ("ipex\n[WinError 1455] Error loading C:\\torch\\lib\\fbgemm.dll", ["win1455-paging-file"]),
        ("ipex\n[WinError 126] Error loading C:\\torch\\lib\\fbgemm.dll", ["win126-fbgemm"]),
        ("ipex\nlibmkl_tbb_thread.so.2: cannot open shared object file", ["libmkl-core-libs"]),
        (
            "The program was built for 1 devices\nIGC: Internal Compiler Error: Access violation",
            ["igc-compiler-crash", "program-build-failure"],
        ),
        (
            "ipex-llm 2 requires transformers==4.37.0, but you have transformers 4.45 which is incompatible",
            ["pip-incompatible-after-install"],
        ),
    ],
)
def test_entries_with_similar_messages_keep_apart(text: str, expected: list[str]) -> None:
    """One message is claimed by one entry, and a root before its symptom."""
    assert ids(text) == expected


def test_a_warning_that_is_the_root_comes_before_the_failure() -> None:
    """A missing Visual C++ runtime is named before the DLL that needs it."""
    failure = CATALOGUE.failures["win126-c10-xpu"].examples[0]
    warning = CATALOGUE.failures["vcredist-missing"].examples[0]
    assert ids(f"{failure}\n{warning}") == ["vcredist-missing", "win126-c10-xpu"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_line_is_that_of_the_log(newline: str) -> None:
    """`line` counts the lines of the log as it came, also far down and where the message is wrapped."""
    text = newline.join(
        ["nothing"] * 70_000 + hard_wrapped("RuntimeError: No XPU devices are available.").split("\n")
    )
    (match,) = explain(text)
    assert match.line == 70_001
    assert match.evidence == "RuntimeError: No XPU devices are available."


def test_a_message_at_the_seam_of_two_blocks_is_found() -> None:
    """No place in a log hides a message, also in a log without line ends."""
    message = "RuntimeError: No XPU devices are available."
    for size in range(256 * 1024 - 60, 256 * 1024 + 20, 7):
        assert ids("." * size + message + "." * 300_000) == ["no-xpu-devices-available"]


def test_the_evidence_shows_no_credentials() -> None:
    """A password in an address is not repeated."""
    text = "ERROR: No matching distribution found for intel-extension-for-pytorch from https://me:secret@host.test/x"
    (match,) = explain(text)
    assert "secret" not in match.evidence
    assert "https://***host.test/x" in match.evidence


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n" * 100,
        "hello",
        "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 8.00 GiB total capacity)",
        "ModuleNotFoundError: No module named 'flask'",
        "ValueError: too many values to unpack (expected 2)",
        "error: can't find Rust compiler\n  ERROR: Failed building wheel for cryptography",
        "OSError: [WinError 193] %1 is not a valid Win32 application: 'node'",
        "node: /lib64/libstdc++.so.6: version `GLIBCXX_3.4.26' not found (required by node)",
        "Bus error (core dumped)",
        "OMP: Error #15: Initializing libiomp5.dylib, but found libomp.dylib already initialized.",
        "tensorflow 2.9 requires protobuf<3.20, but you have protobuf 4.21 which is incompatible.",
        "Permission denied: '/dev/ttyUSB0'",
        "KeyError: 'name'",
        "libctranslate2.so: cannot enable executable stack as shared object requires: Invalid argument",
        "ModuleNotFoundError: No module named 'sentencepiece'",
        "torch 2.4.0+cu121\n[WinError 1455] Error loading C:\\x\\torch\\lib\\cudnn_adv_infer64_8.dll",
        'OSError: [WinError 126] Error loading "C:\\x\\torch\\lib\\c10.dll" or one of its dependencies.',
        "ImportError: DLL load failed while importing _C: The specified module could not be found.",
        "./solver: error while loading shared libraries: libimf.so: cannot open shared object file",
        "clinfo: error while loading shared libraries: libOpenCL.so.1: cannot open shared object file",
        "node: /lib64/libm.so.6: version `GLIBC_2.28' not found (required by node)",
        "ipex-llm 2.2\nnode: /lib64/libm.so.6: version `GLIBC_2.28' not found (required by node)",
        "(PaddleOCR) RuntimeError: could not execute a primitive",
        "found at least two devices, cuda:0 and cuda:1!",
        "LLVM ERROR: out of memory",
        "ImportError: Using `low_cpu_mem_usage=True` or a `device_map` requires Accelerate",
        'jellyfin: error gathering device information while adding custom device "/dev/dri": no such file',
        "ncclUnhandledCudaError: NCCL_ERROR| unhandled",
        "2026:07:17-12:29:00:(532) |CCL_WARN| topology recognition shows PCIe connection",
    ],
)
def test_an_unknown_log_has_no_answer(text: str) -> None:
    """Logs of other projects, and texts that only resemble a known failure, give nothing."""
    assert explain(text) == ()


def test_a_match_is_plain_data() -> None:
    """Everything in a match can be printed as JSON."""
    for match in explain(SEED):
        values = [match.id, match.title, match.stage, match.confidence, match.cause, match.fix, match.line]
        assert all(json.loads(json.dumps(value)) == value for value in values)
