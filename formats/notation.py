"""Reading a format from its written form: the mappings and short names of catalog, YAML files and command line.

    {element: e3m2, block: 24, scale: e8m0}
    {element: {kind: int, bits: 6, encoding: sign_magnitude, fraction_bits: 5}, block: 16, scale: {kind:
    power_of_two, rule: ceil}}

Short elements: ``eXmY`` (OCP and IEEE conventions for bias and specials), ``intN`` (two's complement). Short scales:
``e8m0`` (OCP, with NaN) and any ``eXmY``, ``fp16`` or ``fp32``.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from densimeter.formats.block import BlockFormat, Quirks
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.errors import FormatError, nearest
from densimeter.formats.scale import FloatScale, PowerOfTwoScale, Scale

_ELEMENT_KINDS = {"int": IntElement, "float": FloatElement, "log": LogElement}
_SCALE_KINDS = {"power_of_two": PowerOfTwoScale, "float": FloatScale}
_EXAMPLE = "{element: e3m2, block: 24, scale: e8m0}"
_FLOAT = re.compile(r"e(\d)m(\d{1,2})")
_INT = re.compile(r"int(\d{1,2})")
_NAMED_FLOATS = {"fp32": "e8m23", "fp16": "e5m10", "bf16": "e8m7"}
_OCP_E4M3, _OCP_E5M2 = (4, 3), (5, 2)


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
        scale = _declare(fmt.scale, _SCALE_KINDS)
        if isinstance(fmt.scale, FloatScale):
            scale["element"] = _declare(fmt.scale.element, _ELEMENT_KINDS)
        written |= {"block": fmt.block, "scale": scale}
    if fmt.quirks != Quirks():
        written["quirks"] = dataclasses.asdict(fmt.quirks)
    return written


def parse_element(written: object) -> Element:
    """Read an element from a short name or a mapping with its `kind`."""
    if isinstance(written, Mapping):
        element = _build_kind(_ELEMENT_KINDS, written, "element")
        assert isinstance(element, IntElement | FloatElement | LogElement)
        return element
    text = str(written)
    if match := _FLOAT.fullmatch(_NAMED_FLOATS.get(text, text)):
        return _conventional_float(int(match[1]), int(match[2]))
    if match := _INT.fullmatch(text):
        return IntElement(int(match[1]))
    raise FormatError(f"element is {written!r}, expected eXmY (e3m2), intN (int8), or a mapping with a kind")


def _conventional_float(exponent_bits: int, mantissa_bits: int) -> FloatElement:
    """Bias and specials by convention: OCP for E4M3 and E5M2, IEEE 754 above 8 bits, no specials below."""
    shape = (exponent_bits, mantissa_bits)
    bias = (1 << (exponent_bits - 1)) - 1 if exponent_bits else 0
    if shape == _OCP_E4M3:
        return FloatElement(*shape, bias, specials="nan")
    ieee = shape == _OCP_E5M2 or 1 + sum(shape) > 8
    return FloatElement(*shape, bias, specials="ieee" if ieee else "none")


def _parse_scale(written: object) -> Scale:
    if isinstance(written, Mapping):
        fields = dict(written)
        if fields.get("kind") == "float" and "element" in fields:
            fields["element"] = parse_element(fields["element"])
        scale = _build_kind(_SCALE_KINDS, fields, "scale")
        assert isinstance(scale, PowerOfTwoScale | FloatScale)
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
    return "_".join([fmt.element.symbol, *([f"b{fmt.block}", fmt.scale.symbol] if fmt.scale else [])])


def _declare(part: Element | Scale, kinds: Mapping[str, type]) -> dict[str, Any]:
    """A dataclass as a mapping with its kind and the fields that differ from their defaults."""
    kind = next(name for name, cls in kinds.items() if type(part) is cls)
    fields = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    defaults = {f.name: f.default for f in dataclasses.fields(part)}
    return {"kind": kind, **{name: value for name, value in fields.items() if value != defaults[name]}}
