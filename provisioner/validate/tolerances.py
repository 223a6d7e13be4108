"""How far logits may lie from the reference, per precision and kind of weights."""

from collections.abc import Mapping

TOLERANCES: Mapping[str, float] = {
    "fp32": 5e-3,
    "fp16": 0.05,
    "bf16": 0.12,
    "sym_int8": 0.2,
    "sym_int4": 0.95,
    "nf4": 0.12,
    "int8": 0.12,
    "int4": 0.12,
}
"""Largest relative norm of the difference of logits with trained weights, where the profile names none.

Seen with SmolLM2-135M on a CPU: 0.03 with `bf16`, 0.09 with `sym_int8`, 0.64 to 0.86 with `sym_int4`. Zeros
differ by 1, so no tolerance may reach that.

Those of `nf4`, `int8` and `int4` hold against fp32 with the weights that the device really has, the mean of
the logits left out: rounding to 4 bits changes them as much as leaving out the rotary embedding does (0.35 to
0.55), so no tolerance against the file's own weights could tell the two apart. Seen on a CPU: 0.02 to 0.06.
"""

RANDOM_TOLERANCES: Mapping[str, float] = {
    "fp32": 5e-3,
    "fp16": 0.02,
    "bf16": 0.05,
    "sym_int8": 0.1,
    "sym_int4": 0.6,
    "nf4": 0.05,
    "int8": 0.05,
    "int4": 0.05,
}
"""The same with seeded random weights, which lose less, so that a wrong position or mask shows.

Seen on a CPU, layers of production size included: up to 0.015 with `bf16`, 0.042 with `sym_int8`, 0.46 with
`sym_int4`; without rotary embedding 0.67.
"""

LOW_BIT: Mapping[str, float] = {"nf4": 0.13, "int8": 0.02, "int4": 0.17}
"""Precisions whose weights are read back after the conversion, to the largest change that rounding may
make in a matrix, as a part of its norm. Seen on a CPU: 0.09 to 0.10, 0.008 to 0.012, 0.10 to 0.13."""

OPENVINO_TOLERANCE = 0.25
"""As ``TOLERANCES``, for OpenVINO's default mode, which quantises activations too: 0.03 to 0.12 on a CPU."""

OPENVINO_ACCURACY_TOLERANCE = 5e-3
"""The same for its ``ACCURACY`` mode: 7e-6 on a CPU."""

OPENVINO_LARGEST_GAP = 1.0
"""How far a token of the text may be below the likeliest, in standard deviations of the logits: two logits
move by that much where ``OPENVINO_TOLERANCE`` is used up, and a token by chance is 4 to 6 below."""
