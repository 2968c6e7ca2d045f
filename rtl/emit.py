"""Emission: a datapath becomes one self-contained Verilog file, the same bytes for the same declaration and pipeline.

The top module wires library modules together; every width it passes on comes from the datapath. The library modules it
uses follow in the same text, so that the file needs nothing else.
"""

import re
import textwrap

from densimeter.formats import AlignedAccumulator, BlockFormat, Datapath, FloatElement, Fp32Accumulator
from densimeter.rtl.module import EmittedModule, assemble, describe_ports, module
from densimeter.rtl.ports import Port, ports
from densimeter.rtl.unit.pipeline import best_cuts, last_piece, pipelined
from densimeter.rtl.unit.stages import SPLITS, body, steps

_LATENCY = "latency:     1 cycle: the register takes in the operands that stand at the rising edge with en=1"


def emit(datapath: Datapath, pipeline: int = 0) -> EmittedModule:
    """The Verilog of one multiply-accumulate unit, with `pipeline` stages of registers ahead of its accumulator.

    Raises ConfigError where the unit cannot be cut so often.
    """
    name = module_name(datapath)
    text, latency = body(datapath), [_LATENCY]
    if pipeline:
        name = f"{name}_p{pipeline}"
        text, cuts = _pipelined(datapath, pipeline)
        latency = _describe_pipeline(pipeline, cuts)
    header = [
        f"Multiply-accumulate unit {name}",
        "",
        *describe(datapath),
        *latency,
        "",
        "ports (operands: lane 0 in the low bits):",
        *describe_ports(ports(datapath)),
    ]
    return assemble(name, header, [module(name, ports(datapath), text)])


def emit_loop(datapath: Datapath) -> EmittedModule:
    """The accumulator's own step as a module: what no pipeline divides, so that its period is the shortest of all."""
    name = f"{module_name(datapath)}_loop"
    inputs, text = last_piece(steps(datapath, SPLITS), _inputs(datapath))
    declared = ports(datapath)
    outputs = [port for port in declared if port.direction == "output"]
    return assemble(name, [f"Accumulator of {name}"], [module(name, [declared[0], *inputs, *outputs], text)])


def deepest_pipeline(datapath: Datapath) -> int:
    """The most stages of registers that `emit` can put into the unit."""
    return sum(bool(step.cut) for step in steps(datapath, SPLITS))


def _pipelined(datapath: Datapath, pipeline: int) -> tuple[str, tuple[str, ...]]:
    cuts = best_cuts(steps(datapath, SPLITS), pipeline)
    return pipelined(steps(datapath, SPLITS & set(cuts)), _inputs(datapath), cuts), cuts


def _inputs(datapath: Datapath) -> list[Port]:
    return [port for port in ports(datapath) if port.direction == "input"]


def _describe_pipeline(stages: int, cuts: tuple[str, ...]) -> list[str]:
    edges = f"{stages + 1} cycles: a group taken in at a rising edge with en=1 is in the register {stages} edges later"
    pipeline = (
        f"pipeline:    registers after {', '.join(cuts)}; they never stop: en=0 sends a bubble through them. "
        "The accumulator adds in one cycle, so its own step sets the shortest period"
    )
    return [f"latency:     {edges}", *textwrap.wrap(pipeline, 110, subsequent_indent=" " * 13)]


def module_name(datapath: Datapath) -> str:
    """A Verilog identifier that tells the declaration."""
    accumulator = str(datapath.accumulator).replace("-", "m")
    parts = (datapath.activation.name, datapath.weight.name, f"x{datapath.lanes}", accumulator)
    return re.sub(r"\W+", "_", "_".join(("densimeter", *parts)))


def describe(datapath: Datapath) -> list[str]:
    """The unit's declaration and widths, as lines of a header."""
    return [
        f"activation:  {_describe(datapath.activation)}",
        f"weight:      {_describe(datapath.weight)}",
        f"lanes:       {datapath.lanes}",
        f"accumulator: {datapath.accumulator}: {_describe_register(datapath)}",
        *textwrap.wrap(_describe_widths(datapath), 110),
    ]


def _describe(operand: BlockFormat) -> str:
    scale = f"; one scale per {operand.block}: {operand.scale.notation}" if operand.scale else ""
    where = "" if operand.has_unit_scale or not operand.scale else ", applied outside this unit"
    element = operand.element
    specials = f", specials {element.specials}" if isinstance(element, FloatElement) else ""
    return f"{operand.name}: {element.notation}{specials}, {element.bits} bits{scale}{where}"


def _describe_register(datapath: Datapath) -> str:
    accumulator = datapath.accumulator
    if isinstance(accumulator, Fp32Accumulator):
        return "IEEE 754 binary32 in 32 bits" + ("" if accumulator.subnormals else ", subnormals flushed to zero")
    if isinstance(accumulator, AlignedAccumulator):
        low, high = accumulator.bits, datapath.register_bits
        return (
            f"[{high - 1}:{low}] exponent code, [{low - 1}:0] two's complement significand, "
            f"value significand * 2^(code{datapath.register_lsb_exponent:+d})"
        )
    return f"two's complement, [{accumulator.bits - 1}:0], lowest bit 2^{datapath.register_lsb_exponent}"


def _describe_widths(datapath: Datapath) -> str:
    if datapath.float_mac and not datapath.windowed:
        return "widths:      the exact product is rounded to binary32, then added"
    window = f", cut {datapath.window_bits} bits below the largest product's" if datapath.windowed else ""
    code = f", exponent code {datapath.exponent_bits}" if datapath.scaled else ""
    return (
        f"widths:      product {datapath.product_bits} + sign (lowest bit 2^{datapath.product_lsb_exponent}{window}), "
        f"sum {datapath.sum_bits}, scaled sum {datapath.scaled_sum_bits}{code}"
    )
