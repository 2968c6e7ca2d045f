"""Emission: a datapath becomes one self-contained Verilog file, the same bytes for the same declaration.

The top module wires library modules together; every width it passes on comes from the datapath. The library modules it
uses follow in the same text, so that the file needs nothing else.
"""

import re
import textwrap

from densimeter.formats import AlignedAccumulator, BlockFormat, Datapath, FloatElement, Fp32Accumulator
from densimeter.rtl.module import EmittedModule, assemble, describe_ports, module
from densimeter.rtl.ports import ports
from densimeter.rtl.unit import body

_LATENCY = "latency:     1 cycle: the register takes in the operands that stand at the rising edge with en=1"


def emit(datapath: Datapath) -> EmittedModule:
    """The Verilog of one multiply-accumulate unit."""
    name = module_name(datapath)
    header = [
        f"Multiply-accumulate unit {name}",
        "",
        *describe(datapath),
        _LATENCY,
        "",
        "ports (operands: lane 0 in the low bits):",
        *describe_ports(ports(datapath)),
    ]
    return assemble(name, header, [module(name, ports(datapath), body(datapath))])


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
