"""Did the imports come from the environment, is the device there, and does it calculate?"""

from collections.abc import Mapping

from provisioner.profile.model import TorchVariant
from provisioner.validate.checks.finding import DRIVER_HINT, REBUILD_HINT, Finding
from provisioner.validate.model import JSON, ValidationRequest

_MATMUL_TOLERANCES: Mapping[str, float] = {"float32": 2e-3, "float16": 1e-2, "bfloat16": 3e-2}
"""Relative error of a matrix product; fp32 leaves room for TF32, which some devices use unasked."""

CPU_TENSOR_HINTS = (
    "build a fresh environment from the profile, without a torch or IPEX installed beside ipex-llm",
    "move the model and its inputs to the device: `model = model.to('xpu')` and `inputs.to('xpu')`",
    "to run on the CPU on purpose, keep IPEX out: set `BIGDL_IMPORT_IPEX=0` or uninstall it",
)


def check_imports(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """Every module comes from the environment, and torch is the build that its metadata claims."""
    for name, module in measured["modules"].items():
        if not module["inside"]:
            return Finding(
                code="contaminated",
                message=f"`{name}` was imported from `{module['file']}`, outside the environment",
                hints=("remove that file, or what puts its folder on the module path",),
            )
    foreign: Mapping[str, str] = measured["foreign_modules"]
    if foreign:
        name, place = next(iter(foreign.items()))
        return Finding(
            code="contaminated",
            message=f"`{name}` was imported from `{place}`, outside the environment and its Python",
            hints=("remove that file, or what puts its folder on the module path",),
        )
    if request.torch_variant is TorchVariant.NONE and "torch" in measured:
        return Finding(
            code="contaminated",
            message="the stack has no torch, and one of its libraries has imported one",
            hints=(REBUILD_HINT,),
        )
    if request.torch_variant is TorchVariant.CPU and measured["torch"]["cuda"]:
        return Finding(
            code="torch_variant",
            message=f"torch was built for CUDA `{measured['torch']['cuda']}`, whatever its metadata says",
            hints=(REBUILD_HINT,),
        )
    return None


def check_device(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """The device that was asked for is there; whether it works is the next check's business."""
    if request.device_kind == "cpu":
        return None
    if not measured["built"]:
        return Finding(
            code="torch_without_device",
            message=f"torch is built without `{request.device_kind}`: no driver will make it see the device",
            hints=("validate a profile whose torch variant is for this device", "use `--device cpu`"),
        )
    if measured["count"] > measured["index"]:
        return None
    who = "OpenVINO" if request.backend == "openvino" else "torch"
    selectors = "".join(f", with `{name}={value}`" for name, value in measured["selectors"].items())
    if measured["count"]:
        return Finding(
            code="device_missing",
            message=f"device `{request.device}` is not there: {who} sees {measured['count']} "
            f"({', '.join(f'`{name}`' for name in measured['names'])}){selectors}",
            hints=("choose one of them with `--device`",),
            absent=True,
        )
    return Finding(
        code="device_missing",
        message=f"{who} sees no `{request.device_kind}` device on this machine{selectors}"
        + (f": {measured['plugin_error']}" if "plugin_error" in measured else ""),
        hints=(
            "run `provision doctor` for the state of driver and permissions",
            "use `--device cpu` to check the rest of the environment without the device",
        ),
        absent=True,
    )


def check_kernels(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """Copies are exact, products are close to fp64, fused operators are registered where they will run."""
    kind = request.device_kind
    if not measured["copy_equal"]:
        return Finding(
            code="wrong_result",
            message=f"data copied to `{request.device}` and back is not the same",
            hints=(DRIVER_HINT, "check the device's memory and power supply"),
        )
    for precision, product in measured["matmul"].items():
        if not str(product["device"]).startswith(kind):
            return Finding(
                code="wrong_device",
                message=f"a product on `{request.device}` came back on `{product['device']}`",
            )
        words = set(precision.split())
        tolerance = next(value for name, value in _MATMUL_TOLERANCES.items() if name in words)
        error = product["relative_error"]
        if error is None or not error <= tolerance:
            said = "no number" if error is None else f"{error:.2g}"
            return Finding(
                code="wrong_result",
                message=f"a {precision} matrix product on `{request.device}` differs from fp64 by {said}, "
                f"more than {tolerance:g}",
                hints=(DRIVER_HINT,),
            )
    if kind == "xpu":
        for name, places in measured["dispatch"].items():
            if not places["XPU"]:
                return Finding(
                    code="cpu_fallback",
                    message=f"`{name}`, which `{request.family}` calls on its fused path, has no XPU kernel",
                    hints=CPU_TENSOR_HINTS[:1],
                )
    return None
