"""Errors, signals and exit codes are given their cause."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from provisioner.diagnose.failures.probe_errors import recognise_error
from provisioner.validate.checks.failure import describe_exit, explain_error, explain_exit
from provisioner.validate.checks.finding import Finding
from provisioner.validate.model import ValidationRequest

REQUEST = ValidationRequest(
    interpreter=PurePosixPath("/e/bin/python"),  # type: ignore[arg-type] # never opened here
    prefix=PurePosixPath("/e"),  # type: ignore[arg-type] # the same
    device="xpu",
    family="chatglm2",
    precision="sym_int4",
)


def explain(kind: str, message: str, **measured: Any) -> Finding:
    return explain_error(
        "forward", {"type": kind, "message": message}, measured, REQUEST, recognise=recognise_error
    )


@pytest.mark.parametrize(
    ("kind", "message", "code", "said"),
    [
        (
            "OutOfMemoryError",
            "XPU out of memory. Tried to allocate 2.00 GiB",
            "device_memory",
            "device's memory",
        ),
        ("RuntimeError", "Native API failed. -5 (PI_ERROR_OUT_OF_RESOURCES)", "device_memory", "device's"),
        ("RuntimeError", "UR_RESULT_ERROR_DEVICE_LOST", "device_lost", "lost"),
        ("MemoryError", "", "host_memory", "machine's own"),
        ("RuntimeError", "[enforce fail] DefaultCPUAllocator: can't allocate memory", "host_memory", "own"),
        (
            "RuntimeError",
            "Expected all tensors to be on the same device, but found at least two devices, xpu:0 and cpu!",
            "mixed_devices",
            "xpu:0 and cpu",
        ),
        (
            "ImportError",
            "libmkl_sycl_blas.so.4: cannot open shared object file: No such file or directory",
            "missing_library",
            "libmkl_sycl_blas.so.4",
        ),
        (
            "ImportError",
            "/e/x.so: undefined symbol: iJIT_NotifyEvent",
            "missing_library",
            "iJIT_NotifyEvent",
        ),
        (
            "OSError",
            'Error loading "C:\\e\\torch\\lib\\c10.dll" or one of its dependencies.',
            "missing_library",
            "c10.dll",
        ),
        (
            "ImportError",
            "DLL load failed while importing xe_linear: The specified module could not be found.",
            "missing_library",
            "xe_linear",
        ),
        (
            "ModuleNotFoundError",
            "No module named 'transformers.models'",
            "missing_module",
            "transformers.models",
        ),
        ("ValueError", "something else", "exception", "ValueError: something else"),
    ],
)
def test_an_error_has_its_cause(kind: str, message: str, code: str, said: str) -> None:
    """The texts that torch, its drivers and the loaders print are recognised, and named parts are kept."""
    finding = explain(kind, message)
    assert finding.code == code
    assert said in finding.message
    assert finding.hints


def test_the_module_that_was_being_imported_is_named() -> None:
    """An import error names the module of our list, not only the one deep inside."""
    assert explain("ImportError", "boom", importing="ipex_llm").message.startswith(
        "`ipex_llm` cannot be imported"
    )


def test_the_seed_sentence_names_operator_and_tensors() -> None:
    """IPEX's sentence gets the operator, the CPU tensors and the three steps of the remedy."""
    message = (
        "Could not run 'torch_ipex::mul_add' with arguments from the 'CPU' backend. This could be because"
    )
    finding = explain(
        "NotImplementedError", message, tensors_elsewhere=["a.weight"], tensors_elsewhere_count=3
    )
    assert finding.code == "cpu_fallback"
    assert "`torch_ipex::mul_add`" in finding.message
    assert "`a.weight` and 2 more" in finding.message
    assert len(finding.hints) == 3


@pytest.mark.parametrize(
    ("exit_code", "name"),
    [
        (-11, "SIGSEGV"),
        (-64, "signal 64"),
        (3, "exit code 3"),
        (0xC0000005, "access violation"),
        (-1073741819 & 0xFFFFFFFF, "access violation"),
        (0xC0000135, "DLL not found"),
    ],
)
def test_exit_codes_have_names(exit_code: int, name: str) -> None:
    """Signals and Windows' status codes are words; other codes stay numbers."""
    assert describe_exit(exit_code)[0] == name


def test_the_innermost_frame_of_a_crash_is_named() -> None:
    """The trace of faulthandler ends in the function that crashed."""
    stderr = (
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n"
        '  File "/e/torch/xpu/__init__.py", line 210 in get_device_properties\n  File "x", line 1 in y\n'
    )
    assert (
        "`get_device_properties` (`/e/torch/xpu/__init__.py`, line 210)"
        in explain_exit("device", -11, stderr).message
    )


def test_long_texts_keep_both_ends_and_no_control_characters() -> None:
    """A reason is one line of bounded length that no terminal obeys."""
    text = explain("ValueError", "start\x1b[2J\n" + "x" * 5000 + " end").message
    assert len(text) < 450
    assert "start" in text
    assert text.endswith("end")
    assert text.isprintable()
