"""What a density table shows about the published headline, in plain sentences made from its own figures.

The headline of arXiv 2310.05079: 6-bit block floating point has 19 times the arithmetic density of float32 and 2.5
times that of an 8-bit integer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from densimeter.reports import Cost, DensityRow

HEADLINE_FORMAT = "bfp6"
HEADLINE_VS_FLOAT32 = 19.0
HEADLINE_VS_INT8 = 2.5


def findings(rows: Sequence[DensityRow], flow: str) -> list[str]:
    """Sentences about the headline format; none where the table does not hold it."""
    chosen = [row for row in rows if row.format.name == HEADLINE_FORMAT and row.lanes > 1]
    if not chosen:
        return []
    return [_vs_float32(chosen, flow), *_vs_int8(chosen)]


def _vs_float32(rows: Sequence[DensityRow], flow: str) -> str:
    default = {row.accumulator: row.lut[flow].vs_float32 for row in rows}
    each = ", ".join(f"{ratio:.1f}x with {name}" for name, ratio in default.items() if ratio is not None)
    lut, area = _spread(rows, lambda c: c.vs_float32, "lut"), _spread(rows, lambda c: c.vs_float32, "area_um2")
    text = f"{HEADLINE_FORMAT} against float32 (published: {HEADLINE_VS_FLOAT32:g}x): {each} in the {flow} flow; "
    return text + f"over all flows and accumulators {lut} in LUTs" + (f" and {area} in cell area." if area else ".")


def _vs_int8(rows: Sequence[DensityRow]) -> Iterator[str]:
    """Where the published ratio over int8 is reached, baseline by baseline."""
    baselines: Mapping[str, Callable[[Cost], float | None]] = {
        "a stand-alone int8 MAC": lambda cost: cost.vs_int8_mac,
        "a lane of a 16-lane int8 dot product": lambda cost: cost.vs_int8_dot,
    }
    for name, ratio in baselines.items():
        parts = []
        for kind, attribute in (("LUTs", "lut"), ("cell area", "area_um2")):
            spread = _spread(rows, ratio, attribute)
            if spread:
                largest = max(_ratios(rows, ratio, attribute))
                verdict = "reached" if largest >= HEADLINE_VS_INT8 else "not reached"
                parts.append(f"{spread} in {kind} ({HEADLINE_VS_INT8:g}x {verdict})")
        yield f"{HEADLINE_FORMAT} against {name}: {', '.join(parts)}."


def _spread(rows: Sequence[DensityRow], ratio: Callable[[Cost], float | None], attribute: str) -> str:
    ratios = _ratios(rows, ratio, attribute)
    return f"{min(ratios):.1f}x to {max(ratios):.1f}x" if ratios else ""


def _ratios(rows: Sequence[DensityRow], ratio: Callable[[Cost], float | None], attribute: str) -> list[float]:
    found = [ratio(cost) for row in rows for cost in getattr(row, attribute).values()]
    return [one for one in found if one is not None]
