"""The vector loops: where float32 cannot decide they still equal the reference, and what is not plain they leave."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, get, names, parse, resolve
from densimeter.kernels.plain_plan import plan
from support import reference_tensor
from support.decisions import decision_points

DIVIDED = ("int8", "int4_g32", "int4_g32_affine", "nvfp4", "nf4", "kint8", "dyn8", "kquant5", "gguf_q4_0", "gguf_q5_1")
BLOCKS = (
    "{base: bfp6, block: 8}",
    "{base: mxfp4, block: 24}",
    "{base: nf4, block: 20}",
    "{base: int4_g32_affine, block: 17}",
)


def assert_equals_reference(x: NDArray[np.float32], fmt: BlockFormat) -> None:
    actual, expected = K.quantize(x, fmt), reference_tensor.quantize(x, fmt)
    np.testing.assert_array_equal(actual.scale_rows(), expected.scales)
    np.testing.assert_array_equal(actual.code_rows(), expected.codes)
    reference_tensor.assert_same_floats(K.quantize_dequantize(x, fmt), expected.values)


def test_nearly_every_named_format_has_a_vector_loop() -> None:
    assert [name for name in names() if plan(get(name).first_level) is None] == []


@pytest.mark.parametrize("name", DIVIDED)
def test_neighbours_of_thresholds_under_scales_that_are_no_powers_of_two(name: str) -> None:
    """Each threshold times a scale of 24 bits, rounded, and the float32 on either side of it."""
    fmt = get(name)
    points = decision_points(fmt.element)[::7][:600].astype(np.float64)
    largest = float(fmt.element.largest)
    near = (points[np.abs(points) < largest] * 0.7310585786300049).astype(np.float32)
    near = np.concatenate([near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9))])
    rows = np.pad(near, (0, -len(near) % 31)).reshape(-1, 31)
    anchor = np.full((len(rows), 1), largest * 0.7310585786300049, np.float32)
    assert_equals_reference(np.concatenate([anchor, rows], axis=1), fmt)


@pytest.mark.parametrize("declaration", BLOCKS)
def test_blocks_that_are_no_multiple_of_sixteen(declaration: str) -> None:
    x = np.random.default_rng(1).standard_normal((5, 75)).astype(np.float32)
    assert_equals_reference(x, resolve(declaration))


@pytest.mark.parametrize("name", ["bfp6", "mxfp4", "mx9", "nvfp4", "e4m3", "nf4", "gguf_q4_0", "bfp6_b4x8"])
def test_rows_with_specials_zeros_and_subnormals_among_plain_ones(name: str) -> None:
    fmt = get(name)
    x = np.random.default_rng(2).standard_normal((12, 64)).astype(np.float32)
    x[1], x[2, :32], x[3] = 0, -0.0, x[3] * np.float32(1e-39)
    x[4] *= np.float32(1e-30)
    x[7, 5] = -np.inf
    x[8, 40] = np.inf if fmt.refuses_nan else np.nan
    assert_equals_reference(x, fmt)


@pytest.mark.parametrize("name", names())
def test_quantising_and_dequantising_at_once_is_doing_both(name: str) -> None:
    fmt = get(name)
    x = np.random.default_rng(3).standard_normal((9, 200)).astype(np.float32) * np.float32(3)
    x[4, ::3] = 0
    out = np.empty_like(x)
    assert K.quantize_dequantize(x, fmt, out=out) is out
    np.testing.assert_array_equal(out.view(np.uint32), K.quantize(x, fmt).dequantize().view(np.uint32))


def test_at_once_along_another_axis() -> None:
    x = np.random.default_rng(4).standard_normal((33, 5)).astype(np.float32)
    expected = K.quantize(x, get("bfp6"), 0).dequantize()
    np.testing.assert_array_equal(K.quantize_dequantize(x, get("bfp6"), 0), expected)
    out = np.empty_like(x)
    np.testing.assert_array_equal(K.quantize_dequantize(x, get("bfp6"), 0, out=out), expected)


@pytest.mark.parametrize("rounding", ["nearest_even", "nearest_away", "toward_zero"])
@pytest.mark.parametrize("name", ["bfp6", "mxint8", "int4_g32", "mxfp4", "nvfp4", "bfloat16", "dmf8"])
def test_roundings_of_many_sizes(name: str, rounding: str) -> None:
    fmt = parse({"base": name, "rounding": rounding})
    rng = np.random.default_rng(5)
    sizes = np.ldexp(rng.standard_normal(640), rng.integers(-30, 30, 640))
    ties = rng.integers(-64, 65, 640) * 2.0**-5
    assert_equals_reference(np.concatenate([sizes, ties]).astype(np.float32).reshape(-1, 64), fmt)


@pytest.mark.parametrize("name", ["bfp6", "mxfp4", "nvfp4", "int3", "gguf_q5_0", "nf4_dq", "tf32"])
def test_packing_into_arrays_given(name: str) -> None:
    x = np.random.default_rng(6).standard_normal((6, 96)).astype(np.float32)
    q, other = K.quantize(x, get(name)), K.quantize(-x, get(name))
    raw = q.pack_into(np.empty(q.nbytes, np.uint8))
    assert raw.tobytes() == q.pack()
    read = K.unpack(raw, q.format, q.shape, out=other)
    assert np.shares_memory(read.codes, other.codes)
    np.testing.assert_array_equal(read.codes, q.codes)
    reference_tensor.assert_same_floats(read.dequantize(), q.dequantize())


MEASURE = """
import resource, numpy as np, densimeter.formats as F, densimeter.kernels as K
x = np.random.default_rng(0).standard_normal((4096, 4096), np.float32)
out = np.zeros_like(x)
for name in ("bfp6", "nvfp4"):
    fmt = F.get(name)
    small = K.quantize(x[:16], fmt)
    K.quantize_dequantize(x[:16], fmt, out=out[:16])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    q = K.quantize(x, fmt)
    K.quantize_dequantize(x, fmt, out=out)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 - q.codes.nbytes - q.scales.nbytes)
    del q
"""


def test_quantising_takes_its_output_and_a_few_mebibytes() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True)
    assert max(map(int, done.stdout.split())) < 8 << 20
