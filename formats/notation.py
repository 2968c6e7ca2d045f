"""Reading a format from its written form: the mappings and short names of catalog, YAML files and command line.

    {element: e3m2, block: 24, scale: e8m0}
    {element: {kind: int, bits: 6, encoding: sign_magnitude, fraction_bits: 5}, block: 16, scale: {kind:
    power_of_two, rule: ceil}}
    {element: uint4, block: 128, scale: {kind: affine, element: fp16, zero: uint4}, rounding: stochastic}

Short elements: ``eXmY`` (OCP and IEEE conventions for bias and specials), ``eXmY_fnuz``, ``eXmY_ieee``, ``intN`` (two's
complement), ``uintN``. Short scales: ``e8m0`` (OCP, with NaN) and any ``eXmY``, ``fp16``, ``bf16`` or ``fp32``. A
codebook is ``{kind: codebook, levels: [-1, 0, 1]}``; a published one goes by its name (`formats.levels`). A tile is
``block: [16, 16]``.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from densimeter.formats.block import BlockFormat, Quirks
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.errors import FormatError, nearest
from densimeter.formats.levels import levels, name_of
from densimeter.formats.scale import AffineScale, DoubleScale, FloatScale, PowerOfTwoScale, Scale

_ELEMENT_KINDS = {"int": IntElement, "float": FloatElement, "log": LogElement, "codebook": CodebookElement}
_SCALE_KINDS = {"power_of_two": PowerOfTwoScale, "float": FloatScale, "affine": AffineScale, "double": DoubleScale}
_EXAMPLE = "{element: e3m2, block: 24, scale: e8m0}"
_FLOAT = re.compile(r"e(\d)m(\d{1,2})(?:_(fnuz|ieee))?")
_INT = re.compile(r"(u?)int(\d{1,2})")
_POLICIES = ("rounding", "overflow", "specials", "layout")
_NAMED_FLOATS = {"fp32": "e8m23", "fp16": "e5m10", "bf16": "e8m7"}
_OCP_E4M3 = (4, 3)
_IEEE_IN_8_BITS = ((5, 2), (3, 4))


def parse(declaration: Mapping[str, Any]) -> BlockFormat:
    """Compose a format from a mapping with the keys `element`, and optionally `block`, `scale`, `quirks`, `name`.

    Raises FormatError that names the key, its value and what was expected.
    """
    if not isinstance(declaration, Mapping):
        raise FormatError(f"format is {declaration!r}, expected a catalog name or a mapping such as {_EXAMPLE}")
    known = [f.name for f in dataclasses.fields(BlockFormat)]
    _check_keys(declaration, known, "format")
    if "element" not in declaration:
        raise FormatError(f"format {dict(declaration)!r} has no element; expected something like {_EXAMPLE}")
    fields: dict[str, Any] = dict(declaration)
    fields["element"] = parse_element(declaration["element"])
    if isinstance(declaration.get("block"), list):
        fields["block"] = tuple(declaration["block"])
    if declaration.get("scale") is not None:
        fields["scale"] = _parse_scale(declaration["scale"])
    if "quirks" in declaration:
        fields["quirks"] = _build(Quirks, declaration["quirks"], "quirks")
    composed = BlockFormat(**{"name": "composed", **fields})
    return composed if "name" in fields else dataclasses.replace(composed, name=_compose_name(composed))


def declaration(fmt: BlockFormat) -> dict[str, Any]:
    """The mapping that `parse` reads back into an equal format: plain strings, numbers and mappings."""
    written: dict[str, Any] = {"name": fmt.name, "element": _declare(fmt.element, _ELEMENT_KINDS)}
    if fmt.scale is not None:
        block = list(fmt.block) if isinstance(fmt.block, tuple) else fmt.block
        written |= {"block": block, "scale": _declare(fmt.scale, _SCALE_KINDS)}
    policies = {f.name: f.default for f in dataclasses.fields(fmt) if f.name in _POLICIES}
    written |= {name: getattr(fmt, name) for name, usual in policies.items() if getattr(fmt, name) != usual}
    if fmt.quirks != Quirks():
        written["quirks"] = dataclasses.asdict(fmt.quirks)
    return written


def parse_element(written: object) -> Element:
    """Read an element from a short name or a mapping with its `kind`."""
    if isinstance(written, Mapping):
        fields = dict(written)
        if fields.get("kind") == "codebook" and "levels" in fields:
            fields["levels"] = _parse_levels(fields["levels"])
        element = _build_kind(_ELEMENT_KINDS, fields, "element")
        assert isinstance(element, Element)
        return element
    text = str(written)
    if match := _FLOAT.fullmatch(_NAMED_FLOATS.get(text, text)):
        return _conventional_float(int(match[1]), int(match[2]), match[3])
    if match := _INT.fullmatch(text):
        return IntElement(int(match[2]), "unsigned" if match[1] else "twos_complement")
    raise FormatError(
        f"element is {written!r}, expected eXmY (e3m2, e4m3_fnuz), intN (int8), uintN, or a mapping with a kind"
    )


def _parse_levels(written: object) -> tuple[float, ...]:
    if isinstance(written, str):
        return levels(written)
    numbers = written if isinstance(written, Sequence) else ()
    if not numbers or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise FormatError(f"codebook levels are {written!r}, expected numbers, or a published name such as nf4")
    return tuple(map(float, numbers))


def _conventional_float(exponent_bits: int, mantissa_bits: int, variant: str | None) -> FloatElement:
    """Bias and specials by convention: OCP for E4M3, IEEE 754 for E5M2, E3M4 and above 8 bits, else no specials.

    `variant` "ieee": Inf and NaN as in IEEE 754, whatever the width; "fnuz": finite, unsigned zero, the bias one
    higher.
    """
    shape = (exponent_bits, mantissa_bits)
    bias = (1 << (exponent_bits - 1)) - 1 if exponent_bits else 0
    if variant == "fnuz":
        return FloatElement(*shape, bias + 1, specials="fnuz")
    if variant == "ieee":
        return FloatElement(*shape, bias, specials="ieee")
    if shape == _OCP_E4M3:
        return FloatElement(*shape, bias, specials="nan")
    ieee = shape in _IEEE_IN_8_BITS or 1 + sum(shape) > 8
    return FloatElement(*shape, bias, specials="ieee" if ieee else "none")


def _parse_scale(written: object) -> Scale:
    if isinstance(written, Mapping):
        fields = {key: _parse_stored(value) if key in ("element", "zero") else value for key, value in written.items()}
        scale = _build_kind(_SCALE_KINDS, fields, "scale")
        assert isinstance(scale, Scale)
        return scale
    if written == "e8m0":
        return PowerOfTwoScale(nan=True)
    try:
        element = parse_element(written)
    except FormatError:
        element = None
    if not isinstance(element, FloatElement):
        raise FormatError(f"scale is {written!r}, expected e8m0, eXmY (e4m3), fp16, fp32, or a mapping with a kind")
    return FloatScale(element)


def _parse_stored(written: object) -> Element | PowerOfTwoScale:
    """What a scale is stored as: an element, or a shared exponent beside a zero."""
    if written == "e8m0":
        return PowerOfTwoScale(nan=True, rule="rceil")
    if isinstance(written, Mapping) and written.get("kind") == "power_of_two":
        scale = _build_kind(_SCALE_KINDS, written, "scale")
        assert isinstance(scale, PowerOfTwoScale)
        return scale
    return parse_element(written)


def _build_kind(kinds: Mapping[str, type], written: Mapping[str, Any], what: str) -> object:
    fields = dict(written)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise FormatError(f"{what} kind is {kind!r}, expected one of {', '.join(kinds)}")
    return _build(kinds[kind], fields, what)


def _build(cls: Any, fields: object, what: str) -> Any:
    if not isinstance(fields, Mapping):
        raise FormatError(f"{what} is {fields!r}, expected a mapping")
    declared = {f.name: f for f in dataclasses.fields(cls)}
    _check_keys(fields, list(declared), what)
    for name, field in declared.items():
        if name not in fields and field.default is dataclasses.MISSING:
            raise FormatError(f"{what} {dict(fields)!r} has no {name}")
    return cls(**fields)


def _check_keys(written: Mapping[str, Any], known: list[str], what: str) -> None:
    for key in written:
        if key not in known:
            raise FormatError(f"{what} has no key {key!r}{nearest(str(key), known)}; it takes {', '.join(known)}")


def _compose_name(fmt: BlockFormat) -> str:
    """A name for a format that was given none, fit for a file name: e3m2_b24_e8m0."""
    block = "x".join(map(str, fmt.block)) if isinstance(fmt.block, tuple) else fmt.block
    return "_".join([fmt.element.symbol, *([f"b{block}", fmt.scale.symbol] if fmt.scale else [])])


def _declare(part: Element | Scale, kinds: Mapping[str, type]) -> dict[str, Any]:
    """A dataclass as a mapping with its kind and the fields that differ from their defaults."""
    kind = next(name for name, cls in kinds.items() if type(part) is cls)
    fields = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    defaults = {f.name: f.default for f in dataclasses.fields(part)}
    changed = {name: value for name, value in fields.items() if value != defaults[name]}
    if isinstance(part, CodebookElement):
        changed["levels"] = name_of(part.levels) or list(part.levels)
    nested = {
        name: _declare(value, _SCALE_KINDS if isinstance(value, PowerOfTwoScale) else _ELEMENT_KINDS)
        for name, value in changed.items()
        if isinstance(value, Element | PowerOfTwoScale)
    }
    return {"kind": kind, **changed, **nested}
