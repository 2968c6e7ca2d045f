"""Quantised tensors as arrays of ml_dtypes and tensors of torch, and back: the codes travel, without arithmetic.

Changes when one of the two gains a type. The types of a format are those of its element and of its scale:

    ml_dtypes   float4_e2m1fn, float6_e2m3fn, float6_e3m2fn, every float8, bfloat16, float16, float32; int2, int4, int8,
                int16 and their unsigned kin. One value an item, also below eight bits. Scales besides: float8_e8m0fnu.
    torch       float4_e2m1fn_x2 (two values of the last axis an item, the first in the low nibble), four kinds of
                float8, bfloat16, float16, float32, int8, int16, uint8, uint16. Scales besides: float8_e8m0fnu.

Fraction bits of an integer element (MXINT8) stay in the format: the array holds the integers.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.element import Element, FloatElement, IntElement
from densimeter.formats.errors import FormatError, ToolError
from densimeter.formats.grid import checked_axis, scales_shape
from densimeter.formats.notation import parse_element
from densimeter.formats.scale import AffineScale, FloatScale, PowerOfTwoScale, Scale
from densimeter.kernels.parameters import code_dtype
from densimeter.kernels.tensor import QuantizedTensor

Codes = NDArray[np.unsignedinteger]

_WRITTEN: dict[str, object] = {
    "float4_e2m1fn": "e2m1",
    "float6_e2m3fn": "e2m3",
    "float6_e3m2fn": "e3m2",
    "float8_e3m4": "e3m4",
    "float8_e4m3": "e4m3_ieee",
    "float8_e4m3fn": "e4m3",
    "float8_e4m3fnuz": "e4m3_fnuz",
    "float8_e4m3b11fnuz": {"kind": "float", "exponent_bits": 4, "mantissa_bits": 3, "bias": 11, "specials": "fnuz"},
    "float8_e5m2": "e5m2",
    "float8_e5m2fnuz": "e5m2_fnuz",
    "bfloat16": "bf16",
    "float16": "fp16",
    "float32": "fp32",
    **{f"{kind}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (2, 4, 8, 16)},
}
_NAMES = ("values", "scales", "zeros")
_EXPONENT = "float8_e8m0fnu"
_FP4_PAIR = "float4_e2m1fn_x2"
_ML_DTYPES = {name: name for name in _WRITTEN}
_SHARED = "float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz bfloat16 float16 float32 int8 uint8 int16 uint16"
_TORCH = {name: name for name in _SHARED.split()} | {"float4_e2m1fn": _FP4_PAIR}


class Parts(NamedTuple):
    """A quantised tensor as arrays of another library.

    values: the shape of the tensor (torch, FP4: half of its last axis). scales: one a block, the shape of
    `QuantizedTensor.scales`; None where the format has none. zeros: of affine formats the zero points or minima,
    likewise; else None.
    """

    values: Any
    scales: Any
    zeros: Any
    tensor_scale: float


def to_ml_dtypes(tensor: QuantizedTensor) -> Parts:
    """The tensor as NumPy arrays of ml_dtypes' types; FormatError where the format has none, naming the nearest."""
    types = _types(tensor.format, _ML_DTYPES)
    values, scales, zeros = map(_viewed, _split(tensor), types)
    return Parts(values, scales, zeros, tensor.tensor_scale)


def from_ml_dtypes(
    values: NDArray[Any],
    fmt: BlockFormat,
    *,
    scales: NDArray[Any] | None = None,
    zeros: NDArray[Any] | None = None,
    tensor_scale: float = 1.0,
    axis: int = -1,
) -> QuantizedTensor:
    """The tensor of which `to_ml_dtypes` gives these arrays; FormatError where their types or shapes are others."""
    codes: list[Codes | None] = []
    for what, array, name in zip(_NAMES, (values, scales, zeros), _types(fmt, _ML_DTYPES), strict=True):
        _check_type(what, None if array is None else array.dtype.name, name, fmt)
        codes.append(None if array is None else array.view(np.dtype(f"u{array.dtype.itemsize}")))
    return _join(codes, fmt, axis, tensor_scale)


def to_torch(tensor: QuantizedTensor) -> Parts:
    """The tensor as torch tensors, which share its memory where they can; FormatError where torch has no such type."""
    torch = _torch()
    found: list[Any] = []
    for codes, name in zip(_split(tensor), _types(tensor.format, _TORCH), strict=True):
        if codes is None or name is None:
            found.append(None)
            continue
        stored = np.require(_paired(codes) if name == _FP4_PAIR else codes, None, ["C", "W"])
        found.append(torch.from_numpy(stored).view(getattr(torch, name)))
    values, scales, zeros = found
    return Parts(values, scales, zeros, tensor.tensor_scale)


def from_torch(
    values: Any, fmt: BlockFormat, *, scales: Any = None, zeros: Any = None, tensor_scale: float = 1.0, axis: int = -1
) -> QuantizedTensor:
    """The tensor of which `to_torch` gives these; FormatError where their types or shapes are others."""
    torch = _torch()
    codes: list[Codes | None] = []
    for what, given, name in zip(_NAMES, (values, scales, zeros), _types(fmt, _TORCH), strict=True):
        _check_type(what, None if given is None else str(given.dtype).removeprefix("torch."), name, fmt)
        if given is None:
            codes.append(None)
            continue
        integers = getattr(torch, f"uint{8 * given.element_size()}")
        array = given.detach().cpu().contiguous().view(integers).numpy()
        codes.append(_unpaired(array) if name == _FP4_PAIR else array)
    return _join(codes, fmt, axis, tensor_scale)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ToolError("torch is not installed; get it with: pip install 'densimeter[torch]'") from error
    return torch


@cache
def _elements() -> dict[Element, str]:
    return {parse_element(written): name for name, written in _WRITTEN.items()}


def _types(fmt: BlockFormat, offered: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
    """What a library calls the types of values, scales and zeros; `offered`: its name for each of ours."""
    scale = fmt.scale
    values = _element_type(fmt, "element", fmt.element, offered)
    scales = None if scale is None else _scale_type(fmt, scale, offered)
    zeros = _element_type(fmt, "zero", scale.zero, offered) if isinstance(scale, AffineScale) else None
    return values, scales, zeros


def _element_type(fmt: BlockFormat, what: str, element: Element, offered: Mapping[str, str]) -> str:
    plain = element
    if isinstance(element, IntElement) and element.encoding in ("twos_complement", "unsigned"):
        plain = replace(element, fraction_bits=0, symmetric=False)
    name = _elements().get(plain)
    if name is not None and name in offered:
        return offered[name]
    raise FormatError(
        f"{fmt.name}: no type for {what} {element.notation}; the nearest are {', '.join(_near(element, offered))}"
    )


def _near(element: Element, offered: Mapping[str, str]) -> list[str]:
    """Types of the same kind first, then by width, then by range."""

    def distance(other: Element) -> tuple[bool, int, int]:
        return type(other) is not type(element), abs(other.bits - element.bits), abs(other.emax - element.emax)

    known = {other: offered[name] for other, name in _elements().items() if name in offered}
    return [known[other] for other in sorted(known, key=distance)[:3]]


def _scale_type(fmt: BlockFormat, scale: Scale, offered: Mapping[str, str]) -> str:
    stored = scale.element if isinstance(scale, FloatScale | AffineScale) else scale
    if isinstance(stored, FloatElement):
        return _element_type(fmt, "scale", stored, offered)
    if (
        isinstance(stored, PowerOfTwoScale)
        and (stored.bits, stored.bias, stored.nan) == (8, 127, True)
        and not stored.microexponents
    ):
        return _EXPONENT
    raise FormatError(f"{fmt.name}: no type for scale {scale.notation}; the nearest is {_EXPONENT} (scale e8m0)")


def _check_type(what: str, found: str | None, expected: str | None, fmt: BlockFormat) -> None:
    if found != expected:
        raise FormatError(f"{what} are {found or 'missing'}, expected {expected or 'none'} for {fmt.name}")


def _split(tensor: QuantizedTensor) -> tuple[Codes, Codes | None, Codes | None]:
    """Codes of values, scales and zeros, each in the narrowest integers that hold them."""
    scale = tensor.format.scale
    if scale is None:
        return tensor.codes, None, None
    if not isinstance(scale, AffineScale):
        return tensor.codes, tensor.scales, None
    bits = scale.element.bits
    scales = (tensor.scales & ((1 << bits) - 1)).astype(code_dtype(bits))
    return tensor.codes, scales, (tensor.scales >> bits).astype(code_dtype(scale.zero.bits))


def _join(codes: list[Codes | None], fmt: BlockFormat, axis: int, tensor_scale: float) -> QuantizedTensor:
    values, scales, zeros = codes
    assert values is not None
    if values.ndim == 0:
        raise FormatError("values are a scalar, expected at least one axis")
    axis = checked_axis(axis, values.shape)
    expected = scales_shape(fmt, values.shape, axis)
    for what, found in (("scales", scales), ("zeros", zeros)):
        if found is not None and found.shape != expected:
            raise FormatError(
                f"{what} are of shape {found.shape}, expected {expected} for {fmt.name} of shape {values.shape}"
            )
    dtype = code_dtype(fmt.scale.code_bits if fmt.scale is not None else 8)
    shared = np.zeros(expected, dtype) if scales is None else scales.astype(dtype)
    if isinstance(fmt.scale, AffineScale) and zeros is not None:
        shared |= zeros.astype(dtype) << dtype.type(fmt.scale.element.bits)
    mask = (1 << fmt.element.bits) - 1  # above the bits of a narrow type, an item may hold anything
    element_dtype = code_dtype(fmt.element.bits)
    factor = float(np.float32(tensor_scale))
    return QuantizedTensor(fmt, values.shape, axis, (values & mask).astype(element_dtype), shared, factor)


def _viewed(codes: Codes | None, name: str | None) -> NDArray[Any] | None:
    if codes is None or name is None:
        return None
    return codes.view(np.dtype(getattr(ml_dtypes, name, name)))


def _paired(codes: Codes) -> Codes:
    """Two four-bit codes a byte, the first in the low nibble."""
    if codes.shape[-1] % 2:
        raise FormatError(f"a last axis of {codes.shape[-1]} cannot be stored as pairs; {_FP4_PAIR} needs an even one")
    pairs: Codes = codes[..., 0::2] | codes[..., 1::2] << np.uint8(4)
    return pairs


def _unpaired(pairs: Codes) -> Codes:
    return np.stack([pairs & np.uint8(15), pairs >> np.uint8(4)], axis=-1).reshape(*pairs.shape[:-1], -1)
