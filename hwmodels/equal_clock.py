"""Units compared at one clock period: how many pipeline stages each needs for it, and what it then costs.

Plain areas compare units whose shortest periods differ by up to ten times. Here each unit gets as few stages of
registers as meet a given period, with its gates sized for that period, so that area per MAC is area at equal
throughput; and, apart from that, as many registers and as large gates as make it fastest, for what its area can do at
its own shortest period. Areas are cells before placement; there are no wires and no clock tree in any figure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from densimeter.formats import Datapath
from densimeter.formats.errors import ConfigError, ToolError
from densimeter.hwmodels.characterization.characterize import identify
from densimeter.hwmodels.characterization.record import Record
from densimeter.hwmodels.characterization.store import Store, user_cache
from densimeter.hwmodels.mac import CELL_FLOW, Job, describe
from densimeter.rtl.cells.liberty import Library
from densimeter.rtl.emit import deepest_pipeline, emit, emit_loop
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.synthesize import CellResult, cell_recipe, synthesize_cells

DEFAULT_PERIOD_NS = 4.0
"""250 MHz. The binary32 accumulator, which no register can divide, reaches 3.8 ns in NanGate 45 nm; the rest is for
what the sizing of a whole unit reaches less well than that of the accumulator by itself."""

_COMMITTED = Path(__file__).parent / "characterization" / "equal_clock.jsonl"
# Sizing stops somewhat beyond the delay it is asked for: 4.01 ns for float32 where 4.00 were wanted. Who misses the
# period by less than _NEAR for all that is sized again, for less, before another stage is spent on it.
_AIMS = 0.97, 0.9
_NEAR = 1.03
# Sizing shortens paths by 10 to 18 %; no unit that is slower than this many periods is tried without registers.
_OUT_OF_SIZING = 1.3
_FASTEST_NS = 0.001


@dataclass(frozen=True)
class Variant:
    """A unit with so many stages of registers, sized for some delay."""

    pipeline: int
    record: Record

    @property
    def result(self) -> CellResult:
        assert isinstance(self.record.result, CellResult)
        return self.record.result


@dataclass(frozen=True)
class EqualClock:
    """A unit at a period.

    plain: without registers or sizing, as in the density table. loop: the accumulator's own step by itself, as fast as
    sizing makes it. fastest: with every register that the unit can take, as fast as sizing makes it. tried: fewer to
    more stages, sized for the period, up to the first that meets it.
    """

    datapath: Datapath
    period_ns: float
    plain: Variant
    loop: Variant
    fastest: Variant
    tried: tuple[Variant, ...]

    @property
    def chosen(self) -> Variant | None:
        """The fewest stages that meet the period; None where no number does."""
        variants = (*self.tried, self.fastest)
        return next((variant for variant in variants if variant.result.min_period_ns <= self.period_ns), None)

    @property
    def floor_ns(self) -> float:
        """Shortest period that was reached for the accumulator's own step, which no number of registers makes shorter:
        by itself, or in the whole unit where sizing did better there."""
        return min(self.loop.result.min_period_ns, self.fastest.result.min_period_ns)

    @property
    def area_um2_per_mac(self) -> float | None:
        """Cell area per product at the period; None where it is not met."""
        return None if self.chosen is None else self.chosen.result.area_um2 / self.datapath.lanes

    @property
    def plain_area_um2_per_mac(self) -> float:
        return self.plain.result.area_um2 / self.datapath.lanes

    @property
    def peak_gmac_per_s_mm2(self) -> float:
        """Throughput density of the fastest variant at its own shortest period: 10^9 products a second and mm2."""
        result = self.fastest.result
        return 1e6 * self.datapath.lanes / (result.area_um2 * result.min_period_ns)

    @property
    def records(self) -> list[Record]:
        """Those of its own store: all but the plain one."""
        return [variant.record for variant in (self.loop, self.fastest, *self.tried)]


class EqualClockStore(Store):
    """Synthesis results of units that were sized for a period, and of accumulators by themselves."""

    def __init__(self, committed: Path = _COMMITTED, cache: Path | None = None) -> None:
        super().__init__(committed, user_cache("equal_clock") if cache is None else cache)


def at_period(
    datapath: Datapath,
    period_ns: float,
    library: Library,
    *,
    fresh: bool = False,
    store: EqualClockStore | None = None,
) -> EqualClock:
    """The unit with the fewest stages that meet the period, from records where they hold it, else synthesised now.

    Raises ConfigError for a period that is shorter than a flip-flop's own delays, and ToolError where a synthesis is
    needed and pyosys or the library is missing, or it fails.
    """
    search = _Search(datapath, period_ns, library, fresh, store or EqualClockStore())
    plain = search.plain()
    register_delay_ns = plain.result.register_delay_ns
    if period_ns <= register_delay_ns:
        raise ConfigError(f"period {period_ns:g} ns: expected more than the {register_delay_ns:g} ns of a flip-flop")
    loop = search.sized(0, _FASTEST_NS, emit_loop)
    fastest = search.sized(deepest_pipeline(datapath), _FASTEST_NS)
    found = EqualClock(datapath, period_ns, plain, loop, fastest, tried=())
    return found if found.floor_ns > period_ns else replace(found, tried=tuple(search.stages(plain)))


@dataclass(frozen=True)
class _Search:
    datapath: Datapath
    period_ns: float
    library: Library
    fresh: bool
    store: EqualClockStore

    def plain(self) -> Variant:
        """The unit of the density table."""
        job = Job(self.datapath, emit(self.datapath), CELL_FLOW, self.library)
        record = job.record(fresh=self.fresh)
        if record is None:
            raise ToolError(f"no record of {job.module.name} in {self.library.name}, and {self.library.how_to_get}")
        return Variant(0, record)

    def stages(self, plain: Variant) -> Iterator[Variant]:
        """Variants with more and more stages, up to the first that meets the period."""
        budget_ns = self.period_ns - plain.result.register_delay_ns
        first = int(plain.result.min_period_ns > _OUT_OF_SIZING * self.period_ns)
        for pipeline in range(first, deepest_pipeline(self.datapath) + 1):
            for aim in _AIMS:
                variant = self.sized(pipeline, aim * budget_ns)
                yield variant
                if variant.result.min_period_ns <= self.period_ns:
                    return
                if variant.result.min_period_ns > _NEAR * self.period_ns:
                    break

    def sized(
        self, pipeline: int, logic_delay_ns: float, emitter: Callable[[Datapath], EmittedModule] | None = None
    ) -> Variant:
        """The unit, or what `emitter` makes of it, sized for that delay: on record or synthesised now."""
        module = emit(self.datapath, pipeline) if emitter is None else emitter(self.datapath)
        recipe = cell_recipe(module.name, CELL_FLOW, logic_delay_ns)
        identity = replace(identify(module.text, module.name, CELL_FLOW, self.library), recipe_sha256=recipe.sha256)
        record = None if self.fresh else self.store.lookup(identity.key)
        if record is None:
            try:
                result = synthesize_cells(
                    module.text, module.name, CELL_FLOW, self.library, logic_delay_ns=logic_delay_ns
                )
            except ToolError as error:
                raise ToolError(f"no record of {identity}, and {error}") from None
            sized_for = {"pipeline": pipeline, "logic_delay_ps": round(1000 * logic_delay_ns)}
            record = Record(identity, describe(self.datapath) | sized_for, result)
            self.store.add(record)
        return Variant(pipeline, record)
