"""What a density table shows about the published headline, in plain sentences made from its own figures.

The headline of arXiv 2310.05079: 6-bit block floating point has 19 times the arithmetic density of float32 and 2.5
times that of an 8-bit integer.
"""

from collections.abc import Callable, Iterator, Sequence

from densimeter.reports import Cost, DensityRow

Ratio = Callable[[Cost], float | None]

HEADLINE_FORMAT = "bfp6"
HEADLINE_VS_FLOAT32 = 19.0
HEADLINE_VS_INT8 = 2.5


def findings(rows: Sequence[DensityRow], flow: str) -> list[str]:
    """Sentences about the headline format; none where the table does not hold it."""
    chosen = [row for row in rows if row.format.name == HEADLINE_FORMAT and row.lanes > 1]
    if not chosen:
        return []
    return [
        _vs_float32(chosen, flow),
        _vs_int8(chosen, "a stand-alone int8 MAC", lambda cost: cost.vs_int8_mac),
        _vs_int8(chosen, "a lane of a 16-lane int8 dot product", lambda cost: cost.vs_int8_dot),
    ]


def _vs_float32(rows: Sequence[DensityRow], flow: str) -> str:
    each = ", ".join(f"{row.lut[flow].vs_float32:.1f}x with {row.accumulator}" for row in rows)
    elsewhere = "; ".join(f"{place} {_spread(ratios)}" for place, ratios in _ratios(rows, lambda cost: cost.vs_float32))
    return (
        f"{HEADLINE_FORMAT} against float32 (published: {HEADLINE_VS_FLOAT32:g}x): in LUTs, {flow} flow, {each}. "
        f"By flow and library: {elsewhere}."
    )


def _vs_int8(rows: Sequence[DensityRow], baseline: str, ratio: Ratio) -> str:
    """Where the published ratio over int8 holds, and where it does not."""
    found = list(_ratios(rows, ratio))
    reached = [place for place, ratios in found if max(ratios) >= HEADLINE_VS_INT8]
    verdict = f"reached in {', '.join(reached)} only" if reached else "not reached"
    if len(reached) == len(found):
        verdict = "reached everywhere"
    measured = "; ".join(f"{place} {_spread(ratios)}" for place, ratios in found)
    return f"{HEADLINE_FORMAT} against {baseline}: {measured}. The published {HEADLINE_VS_INT8:g}x is {verdict}."


def _ratios(rows: Sequence[DensityRow], ratio: Ratio) -> Iterator[tuple[str, list[float]]]:
    """For each flow and library, the ratios of all accumulators."""
    for kind in ("lut", "area_um2"):
        for name in getattr(rows[0], kind):
            ratios = [ratio(getattr(row, kind)[name]) for row in rows]
            yield ("LUTs " if kind == "lut" else "area ") + name, [one for one in ratios if one is not None]


def _spread(ratios: Sequence[float]) -> str:
    low, high = f"{min(ratios):.1f}x", f"{max(ratios):.1f}x"
    return low if low == high else f"{low} to {high}"
