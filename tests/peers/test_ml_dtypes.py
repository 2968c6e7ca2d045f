"""ml_dtypes (0.6.0): the element types, code by code and cast by cast; and where its casts mean something else."""

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, FormatError, get, parse
from support.batteries import any_bits, around, battery
from support.reference_tensor import assert_same_floats

WITH_NAN: dict[str, DTypeLike] = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e3m4": ml_dtypes.float8_e3m4,
    "e4m3_ieee": ml_dtypes.float8_e4m3,
    "e4m3_fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2_fnuz": ml_dtypes.float8_e5m2fnuz,
    "e4m3b11_fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
}
FINITE: dict[str, DTypeLike] = {
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
}
TYPES = [*WITH_NAN.items(), *FINITE.items()]
MICROSCALING = {
    "mxfp8_e4m3": "e4m3",
    "mxfp8_e5m2": "e5m2",
    "mxfp6_e3m2": "e3m2",
    "mxfp6_e2m3": "e2m3",
    "mxfp4": "e2m1",
}


def as_codes(x: NDArray[np.float32], dtype: DTypeLike) -> NDArray[np.unsignedinteger]:
    """Their cast, as unsigned integers; casts of what is too large warn, and are meant here."""
    with np.errstate(over="ignore", invalid="ignore"):
        theirs = x.astype(dtype)
    return theirs.view(np.uint8 if theirs.itemsize == 1 else np.uint16)


def as_numbers(codes: NDArray[np.unsignedinteger], dtype: DTypeLike) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return codes.view(dtype).astype(np.float32)


def every_code(fmt: BlockFormat) -> NDArray[np.unsignedinteger]:
    return np.arange(1 << fmt.element.bits).astype(np.uint8 if fmt.element.bits <= 8 else np.uint16)


def decoded(codes: NDArray[np.unsignedinteger], fmt: BlockFormat) -> NDArray[np.float32]:
    return K.QuantizedTensor(fmt, codes.shape, 0, codes, np.zeros(codes.shape, np.uint8)).dequantize()


@pytest.mark.parametrize(("name", "dtype"), TYPES)
def test_every_code_stands_for_the_same_number(name: str, dtype: DTypeLike) -> None:
    codes = every_code(get(name))
    assert_same_floats(decoded(codes, get(name)), as_numbers(codes, dtype))


@pytest.mark.parametrize(("name", "dtype"), TYPES)
def test_casts_choose_the_same_code(name: str, dtype: DTypeLike) -> None:
    """What is too large becomes Inf, or NaN, in ml_dtypes: our `overflow: special`. FP6 and FP4 saturate in both."""
    fmt = parse({"base": name, "overflow": "special" if name in WITH_NAN else "saturate"})
    values = as_numbers(every_code(fmt), dtype)
    x = np.concatenate([around(values), any_bits(1 << 22), battery("gaussian").ravel()])
    np.testing.assert_array_equal(K.quantize(x, fmt).codes, as_codes(x, dtype))


def test_every_e8m0_scale_stands_for_the_same_number() -> None:
    scales = np.arange(256, dtype=np.uint8)
    ones = np.full(scales.shape, 2, np.uint8)  # E2M1 code 2 is 1.0
    fmt = parse({"element": "e2m1", "block": 1, "scale": "e8m0"})
    ours = K.QuantizedTensor(fmt, scales.shape, 0, ones, scales).dequantize()
    assert_same_floats(ours, as_numbers(scales, ml_dtypes.float8_e8m0fnu))


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "ties", "sizes", "near_powers_of_two"])
@pytest.mark.parametrize(("name", "element"), MICROSCALING.items())
def test_microscaling_is_a_cast_of_the_scaled_values(name: str, element: str, numbers: str) -> None:
    """Dividing by a power of two is exact, so that their cast finishes the conversion that our scales begin."""
    x, q = battery(numbers), K.quantize(battery(numbers), get(name))
    scaled = x / as_numbers(q.scales, ml_dtypes.float8_e8m0fnu).repeat(32, axis=1)
    largest = np.float32(get(name).element.largest)
    dtype = dict(TYPES)[element]
    np.testing.assert_array_equal(q.codes, as_codes(np.clip(scaled, -largest, largest), dtype))


# Where ml_dtypes means something else


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("e4m3", np.nan, 448.0),
        ("e4m3_fnuz", np.nan, 240.0),
        ("e5m2_fnuz", np.nan, 57344.0),
        ("e5m2", np.inf, np.inf),
    ],
)
def test_overflow_without_an_infinity_is_nan(name: str, theirs: float, ours: float) -> None:
    """OFP8 allows both, saturation and NaN; ours saturates where there is no Inf, unless told `overflow: special`."""
    x = np.array([1e6], np.float32)
    np.testing.assert_array_equal(as_numbers(as_codes(x, WITH_NAN[name]), WITH_NAN[name]), [theirs])
    np.testing.assert_array_equal(K.quantize(x, get(name)).dequantize(), [ours])


@pytest.mark.parametrize(("name", "dtype"), FINITE.items())
def test_nan_becomes_negative_zero_where_there_is_no_nan(name: str, dtype: DTypeLike) -> None:
    """Silently; and a NaN with its sign set becomes plus zero. Ours refuses it, or makes it zero when told to."""
    nan = np.array([np.nan, -np.nan], np.float32)
    np.testing.assert_array_equal(as_codes(nan, dtype), [1 << (get(name).element.bits - 1), 0])
    with pytest.raises(FormatError, match="2 NaN in the input"):
        K.quantize(nan, get(name))
    np.testing.assert_array_equal(K.quantize(nan, parse({"base": name, "specials": "zero"})).codes, [0, 0])


@pytest.mark.parametrize(
    ("largest", "theirs", "floor"),
    [(1.49, 1, 1), (1.5, 2, 1), (1.9, 2, 1), (2, 2, 2), (3, 4, 2), (0.0, np.nan, 2.0**-127), (-1, np.nan, 1)],
)
def test_a_cast_to_e8m0_is_no_scale_rule(largest: float, theirs: float, floor: float) -> None:
    """It rounds to the nearest power of two, middles up; no MX scale rule does, and zero or a sign make it NaN."""
    x = np.array([largest], np.float32)
    dtype = ml_dtypes.float8_e8m0fnu
    np.testing.assert_array_equal(as_numbers(as_codes(x, dtype), dtype), np.array([theirs], np.float32))
    ours = K.quantize(
        x, parse({"element": "e2m1", "block": 1, "scale": {"kind": "power_of_two", "nan": True, "offset": 0}})
    )
    assert 2.0 ** (int(ours.scales[0]) - 127) == floor
