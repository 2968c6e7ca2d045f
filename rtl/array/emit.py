"""The Verilog file of an array."""

from densimeter.rtl.array.declaration import SystolicArray, array_ports
from densimeter.rtl.array.double_buffered_results import DoubleBufferedResults
from densimeter.rtl.array.double_buffered_weights import DoubleBufferedWeights
from densimeter.rtl.array.output_stationary import OutputStationary
from densimeter.rtl.array.weight_stationary import WeightStationary
from densimeter.rtl.array.wiring import Wiring
from densimeter.rtl.emit import describe
from densimeter.rtl.module import EmittedModule, assemble, describe_ports, module
from densimeter.rtl.ports import ports
from densimeter.rtl.unit.stages import body


def emit_array(array: SystolicArray) -> EmittedModule:
    """The Verilog of an array: the array, its processing element, its unit and their library."""
    top = array_ports(array)
    header = [
        f"Systolic array {array.name}, {array.dataflow.replace('_', '-')}{', double-buffered' * array.double_buffered}",
        "",
        f"elements:    {array.rows} rows x {array.cols} cols, each one unit:",
        *describe(array.datapath),
        _latency(array),
        "",
        "ports (row 0, column 0 and lane 0 in the low bits):",
        *describe_ports(top),
    ]
    unit_name = f"{array.name}_unit"
    unit_ports = ports(array.datapath, chained=array.weight_stationary)
    unit = module(unit_name, unit_ports, body(array.datapath, chained=array.weight_stationary))
    text = _text(array)
    element = module(f"{array.name}_element", text.element_ports(), text.element(unit_name, unit_ports))
    return assemble(array.name, header, [module(array.name, top, text.body()), element, unit])


def _text(array: SystolicArray) -> Wiring:
    if array.weight_stationary:
        return DoubleBufferedWeights(array) if array.double_buffered else WeightStationary(array)
    return DoubleBufferedResults(array) if array.double_buffered else OutputStationary(array)


def _latency(array: SystolicArray) -> str:
    start = "latency:     column j's result of a step that entered at edge t stands "
    if array.weight_stationary:
        return f"{start}after edge t + {array.rows - 1} + j"
    return f"{start}after edge t + {2 * array.rows - 1} + j - i, of row i, where the step was the last"
