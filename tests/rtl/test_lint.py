"""Units of the default density table, pipelines, arrays and converters are clean under the compilers' own warnings."""

import os
import subprocess
from importlib import resources
from pathlib import Path

import pytest

import densimeter.formats as F
from densimeter.rtl.array import SystolicArray, emit_array
from densimeter.rtl.array.declaration import ArrayDataflow
from densimeter.rtl.conversion.dequantizer import emit_dequantizer
from densimeter.rtl.conversion.quantizer import emit_converter
from densimeter.rtl.emit import deepest_pipeline, emit, emit_loop
from densimeter.rtl.engines.batch import find_verilator
from densimeter.rtl.module import EmittedModule
from densimeter.simulator.schema.density import DensityConfig
from densimeter.simulator.schema.document import parse, validate

pytestmark = pytest.mark.rtl

_CONFIG = resources.files("densimeter.simulator.configs").joinpath("density.yaml").read_text(encoding="utf-8")
_UNSIGNED_INT4 = F.resolve("{element: {kind: int, bits: 4, encoding: unsigned}}")
UNITS = [
    *(emit(unit.datapath()) for unit in validate(parse(_CONFIG, "density.yaml"), DensityConfig).units),
    # The code of a sum without scales is never below the lowest that a fixed-point register counts.
    emit(F.derive(F.get("int4"), _UNSIGNED_INT4, 4, "fixed32:-8")),
]
CONVERTED = (
    *("bfp6", "mxfp4", "mxfp8_e5m2", "mxint8", "e4m3", "bfloat16", "bl8", "dmf8", "nvfp4", "int8_g32", "int8"),
    *("mx6", "nf4_b16", "fp4_b16", "dyn8", "int4_g16_affine", "int8_affine", "int4_g16_e8m0_affine"),
)
CONVERTERS = [emit_converter(F.get("float32"), F.get(name)) for name in CONVERTED]
DEQUANTIZED = ("bfp6", "mxint8", "nvfp4", "nf4", "int4_g32_affine", "gguf_q4_1", "e4m3_fnuz")
DEQUANTIZERS = [emit_dequantizer(F.resolve(name), "float32", 2) for name in DEQUANTIZED]
ARRAY_UNITS = (("int8", "int8", 1, "int32"), ("mxfp4", "mxfp8_e4m3", 16, "aligned40"), ("nvfp4", "nvfp4", 16, "fp32"))
DATAFLOWS: tuple[ArrayDataflow, ...] = ("weight_stationary", "output_stationary")
ARRAYS = [
    emit_array(SystolicArray(F.derive(F.get(a), F.get(w), lanes, accumulator), rows, cols, dataflow, double_buffered))
    for a, w, lanes, accumulator in ARRAY_UNITS
    for rows, cols in ((1, 1), (3, 2))
    for dataflow in DATAFLOWS
    for double_buffered in (False, True)
]
PIPELINED_UNITS = (
    ("int8", 16, "int32"),
    ("bfp6", 16, "fp32"),
    ("mxfp8_e5m2", 8, "fixed48:-20"),
    ("mxint8", 16, "aligned32"),
    ("nvfp4", 16, "aligned32"),
    ("float32", 1, "fp32"),
)
PIPELINED = [F.derive(F.get(name), F.get(name), lanes, accumulator) for name, lanes, accumulator in PIPELINED_UNITS]
PIPELINES = [emit(unit, stages) for unit in PIPELINED for stages in (2, deepest_pipeline(unit))]
MODULES = [*UNITS, *PIPELINES, *map(emit_loop, PIPELINED), *CONVERTERS, *DEQUANTIZERS, *ARRAYS]


def _name(module: EmittedModule) -> str:
    return module.name


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_icarus_warns_of_nothing(module: EmittedModule, tmp_path: Path) -> None:
    (tmp_path / "module.v").write_text(module.text, encoding="utf-8")
    command = ["iverilog", "-g2012", "-Wall", "-t", "null", "-s", module.name, "module.v"]
    compiled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (compiled.returncode, compiled.stdout + compiled.stderr) == (0, "")


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_verilator_warns_of_nothing(module: EmittedModule, tmp_path: Path) -> None:
    try:
        program, environment = find_verilator()
    except F.ToolError as missing:
        pytest.skip(str(missing))
    (tmp_path / "module.v").write_text(module.text, encoding="utf-8")
    command = [program, "--lint-only", "-Wall", "--top-module", module.name, "module.v"]
    linted = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert (linted.returncode, linted.stderr) == (0, "")
