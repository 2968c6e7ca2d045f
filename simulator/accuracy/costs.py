"""What the arithmetic and the storage of a row cost beside float32, so that cost and quality stand in one row.

Linear layers only: their multiply-accumulate units as in the density table, and the bits of weights and activations.
What a recipe needs besides is said in words elsewhere.
"""

from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any

from densimeter.formats import BlockFormat, Datapath, IntElement, default_lanes, derive, get
from densimeter.formats.errors import FormatError, ModelRangeError
from densimeter.hwmodels.characterization.known_names import known_operand
from densimeter.hwmodels.figure import Figure
from densimeter.hwmodels.headline import float32_mac, headline_cost
from densimeter.hwmodels.mac import HEADLINE_FLOW, HEADLINE_LIBRARY
from densimeter.kernels.operand_formats import LayerFormats, Recipe

_LANES = 16
"""Of a dot product in the density table."""
_FLOAT32_BITS = 32


def row_costs(
    plan: Recipe, weights: Mapping[str, int], bits: Mapping[str, float], side: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Densities over float32, means over the products of the layers.

    weights: how many each linear layer has, which is how often it multiplies for a token. bits: a weight's, by layer,
    scales included; layers that are not there keep float32. side: products of a token that a recipe adds to a layer,
    each by a float16 unit that sums in float32: they add area and no density.

    Keys: `arithmetic_density_area` (cells of nangate45) and `arithmetic_density_lut`, each with `_relative_band`,
    `cost_source` and `unit`, which are null where there is no unit of the row's formats: `no_unit` then says why.
    `memory_density`: 64 over the bits of a weight and an activation. `side_products_share`: where there are any, how
    many a weight.
    """
    layers = {path: plan.of(path) for path in weights}
    total = sum(weights.values())
    stored = sum(
        count * (bits.get(path, _FLOAT32_BITS) + _bits(layers[path].activation)) for path, count in weights.items()
    )
    found: dict[str, Any] = {"memory_density": 2 * _FLOAT32_BITS * total / stored}
    beside = sum(side.values()) if side else 0
    if beside:
        found["side_products_share"] = beside / total
    shares: dict[LayerFormats, int] = {}
    for path, count in weights.items():
        shares[layers[path]] = shares.get(layers[path], 0) + count
    try:
        units: dict[Datapath, float] = dict(_units(shares))
        if beside:
            units[_side_mac()] = units.get(_side_mac(), 0) + beside
        costs = {unit: (headline_cost(unit), count) for unit, count in units.items()}
    except (FormatError, ModelRangeError) as error:
        return found | {"unit": None, "no_unit": str(error)}
    baseline = headline_cost(float32_mac())
    return found | {
        "unit": "; ".join(map(_described, costs)),
        **_density(
            "area",
            total,
            [(one.area_um2[HEADLINE_LIBRARY], one.lanes, n) for one, n in costs.values()],
            baseline.area_um2,
        ),
        **_density("lut", total, [(one.luts[HEADLINE_FLOW], one.lanes, n) for one, n in costs.values()], baseline.luts),
        "cost_source": "model" if any(one.source == "model" for one, _ in costs.values()) else "synthesis",
    }


def _density(
    of: str, products: int, parts: Sequence[tuple[Figure, int, float]], baselines: Mapping[str, Figure]
) -> dict[str, float]:
    """How many times smaller than the baseline what a product needs is on average.

    products: those that count. parts: of units that compute them and what comes with them, a unit's size, its lanes and
    how many products it computes.
    """
    (baseline,) = baselines.values()  # a MAC
    sizes = [count * figure.value / lanes for figure, lanes, count in parts]
    off = sum(size * figure.relative_band for size, (figure, _, _) in zip(sizes, parts, strict=True))
    return {
        f"arithmetic_density_{of}": baseline.value * products / sum(sizes),
        f"arithmetic_density_{of}_relative_band": off / sum(sizes),
    }


def _units(shares: Mapping[LayerFormats, int]) -> dict[Datapath, int]:
    """Products by unit."""
    found: dict[Datapath, int] = {}
    for formats, count in shares.items():
        unit = _unit(formats)
        found[unit] = found.get(unit, 0) + count
    return found


def _unit(formats: LayerFormats) -> Datapath:
    """The unit of a layer, of the density table's kind where the row names no accumulator.

    Raises FormatError where its formats make none.
    """
    if formats.weight is None and formats.activation is None:
        return float32_mac()
    if formats.activation is None:
        raise FormatError("only weights have a format: they are dequantised and multiplied in floating point")
    if formats.weight is None:
        raise FormatError("only activations have a format: they are multiplied in floating point")
    activation, weight = known_operand(formats.activation), known_operand(formats.weight)
    lanes = default_lanes(activation, weight)
    if formats.accumulator is not None:
        return derive(activation, weight, lanes, formats.accumulator)
    integers = all(isinstance(fmt.element, IntElement) and not fmt.has_unit_scale for fmt in (activation, weight))
    if integers:
        return derive(activation, weight, _LANES, "int32")
    return derive(activation, weight, gcd(lanes, _LANES), "fp32")


def _side_mac() -> Datapath:
    return derive(get("float16"), get("float16"), 1, "fp32")


def _described(unit: Datapath) -> str:
    formats = " x ".join(dict.fromkeys(fmt.name for fmt in unit.operands))
    return f"{formats}, {unit.lanes} lanes, {unit.accumulator}"


def _bits(fmt: BlockFormat | None) -> float:
    return _FLOAT32_BITS if fmt is None else float(fmt.bits_per_value)
