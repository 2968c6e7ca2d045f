"""The figures of a unit: from the records where they hold them, else from a synthesis that is then recorded."""

import hashlib
from collections.abc import Mapping
from typing import Literal

from densimeter.formats.errors import ToolError
from densimeter.hwmodels.characterization.record import Identity, Record
from densimeter.hwmodels.characterization.store import Store
from densimeter.rtl import synthesize, yosys
from densimeter.rtl.cells.liberty import Library

Target = Literal["xc7"] | Library


def characterize(
    verilog: str,
    top: str,
    flow: synthesize.Flow,
    target: Target,
    *,
    unit: Mapping[str, str | int],
    fresh: bool = False,
    store: Store | None = None,
) -> Record:
    """The record of module `top` of the self-contained text `verilog`: LUTs for xc7, else area and delays in a library.

    Committed and cached records are looked up first unless `fresh`. A synthesis is recorded with `unit` (activation,
    weight, lanes, accumulator...) in the user's cache. Raises `ConfigError` for a flow that the target does not have,
    and `ToolError` where there is no record and the tool or the library is missing or fails.
    """
    store = store or Store()
    identity = identify(verilog, top, flow, target)
    known = None if fresh else store.lookup(identity.key)
    if known is not None:
        return known
    try:
        result = _synthesize(verilog, top, flow, target)
    except ToolError as error:
        raise ToolError(f"no record of {identity}, and {error}") from None
    record = Record(identity, dict(unit), result)
    store.add(record)
    return record


def identify(verilog: str, top: str, flow: synthesize.Flow, target: Target) -> Identity:
    """What `characterize` looks up: with the installed Yosys, or without one as by that of the committed records."""
    if isinstance(target, Library):
        recipe, name, library_sha256 = synthesize.cell_recipe(top, flow), target.name, target.sha256
    else:
        recipe, name, library_sha256 = synthesize.lut_recipe(top, flow), target, None
    return Identity(
        rtl_sha256=hashlib.sha256(verilog.encode()).hexdigest(),
        top=top,
        flow=flow,
        target=name,
        library_sha256=library_sha256,
        recipe_sha256=recipe.sha256,
        tool=f"pyosys {yosys.installed_version() or yosys.PINNED_VERSION}",
    )


def _synthesize(
    verilog: str, top: str, flow: synthesize.Flow, target: Target
) -> synthesize.LutResult | synthesize.CellResult:
    if isinstance(target, Library):
        return synthesize.synthesize_cells(verilog, top, flow, target)
    return synthesize.synthesize_luts(verilog, top, flow)
