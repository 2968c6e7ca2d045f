"""Proof: a unit's Verilog against its second description, for every register, every operand and every flag at once.

Yosys unrolls one clock edge and a SAT solver looks for registers that are equal before it and not after. Where there is
none, a unit that has once been cleared equals its description for ever. Codes of NaN and Inf are left out: simulation
covers those. What is proven is what `rtl.emit` writes; what synthesis makes of it is simulated.
"""

from dataclasses import dataclass

from densimeter.formats import Datapath, ToolError
from densimeter.rtl import yosys
from densimeter.rtl.emit import emit
from densimeter.rtl.golden import golden
from densimeter.rtl.module import module
from densimeter.rtl.ports import Port, ports
from densimeter.rtl.syntax import associations

_PROVEN = "Induction step proven: SUCCESS!"
_REFUTED = "Induction step failed"


@dataclass(frozen=True)
class Proof:
    """What the solver said. `input_bits` counts the bits of operands, flags and register that were free."""

    module: str
    proven: bool
    input_bits: int
    counterexample: str


def prove(datapath: Datapath, *, verilog: str | None = None, timeout_s: float = 600) -> Proof:
    """Prove the unit of `datapath`, or another text with the same top module and ports, equal to its description.

    Raises FormatError where there is no description (see `golden`), ToolError where pyosys is missing or fails or the
    solver does not end in time: then use fewer lanes or narrower formats.
    """
    unit = emit(datapath)
    induction = "-tempinduct -tempinduct-inductonly -seq 1 -maxsteps 1"
    script = [
        "read_verilog -sv design.v",
        "hierarchy -top check",
        "proc -norom",  # a table of values stays logic
        "flatten",
        "opt -full",
        "wreduce",
        "opt_clean",
        f"sat {induction} -prove wrong 0 -show-inputs -timeout {timeout_s:.0f}",
        "tee -q -o done stat",
    ]
    design = (verilog or unit.text) + golden(datapath, "golden") + _check(datapath, unit.name)
    log, _ = yosys.run("\n".join(script), {"design.v": design}, "done", timeout_s + 60)
    if _PROVEN not in log and _REFUTED not in log:
        raise ToolError(f"the solver gave no verdict on {unit.name} within {timeout_s:g} s; use fewer lanes or bits")
    free = sum(port.bits for port in ports(datapath) if port.name not in ("clk", "invalid"))
    proven = _PROVEN in log
    return Proof(unit.name, proven, free, "" if proven else log[log.index(_REFUTED) :])


def _check(datapath: Datapath, unit: str) -> str:
    """A module that runs the unit beside its description: `wrong` where their registers differ."""
    declared = ports(datapath)
    # A group with a NaN or Inf in it is withheld from both.
    inputs = {port.name: port.name for port in declared if port.direction == "input"} | {"en": "en & defined"}
    flag = datapath.has_invalid_flag
    outputs = {
        side: {"accumulator": f"{side}_sum"} | ({"invalid": f"{side}_invalid"} if flag else {}) for side in _SIDES
    }
    body = "".join(f"wire [{datapath.register_bits - 1}:0] {side}_sum;\nwire {side}_invalid;\n" for side in _SIDES)
    body += f"wire defined;\n{unit} first (\n{associations(inputs | outputs['unit'])}\n);\n"
    body += f"golden second (\n{associations(inputs | outputs['golden'] | {'defined': 'defined'})}\n);\n"
    body += "assign wrong = unit_sum != golden_sum;\n"
    top = [port for port in declared if port.direction == "input"] + [Port("wrong", "output", 1, "")]
    return module("check", top, body)


_SIDES = ("unit", "golden")
