"""A density table of first, quick measurements: enough rows to have every kind of cell."""

import math

import pytest

import densimeter.formats as formats
from densimeter.reports import Cost, DensityRow, DensityTable, Published

FLOAT32 = {"carry": 1164.0, "star": 1956.0, "booth": 1599.0, "nangate45": 6461.7}
INT8_MAC = {"carry": 106.0, "star": 165.0, "booth": 127.0, "nangate45": 961.6}
INT8_DOT = {"carry": 92.0, "star": 158.0, "booth": 121.0, "nangate45": 706.8}
PAPER = "arXiv 2310.05079"


def costs(**per_mac: float) -> dict[str, Cost]:
    """Costs per flow or library, each compared with the baselines of the same one."""
    return {
        name: Cost(
            per_mac=value,
            vs_float32=FLOAT32[name] / value,
            vs_int8_mac=INT8_MAC[name] / value,
            vs_int8_dot=INT8_DOT[name] / value,
        )
        for name, value in per_mac.items()
    }


@pytest.fixture(scope="session")
def bfp6() -> DensityRow:
    """The headline's format, in its cheapest unit."""
    return DensityRow(
        format=formats.get("bfp6"),
        lanes=16,
        accumulator="fixed48:-24",
        lut=costs(carry=58.8, star=74.4),
        qsnr_weights_db=30.73,
        qsnr_activations_db=28.1,
        published=(
            Published(quantity="arithmetic_density_lut", value=19.2, trust="S", source=PAPER),
            Published(quantity="arithmetic_density_lut", value=19.0, trust="V", source=PAPER, note="abstract"),
            Published(quantity="arithmetic_density_lut_vs_int8_mac", value=2.5, trust="V", source=PAPER),
            Published(quantity="memory_density", value=5.0, trust="V", source=PAPER),
        ),
    )


@pytest.fixture(scope="session")
def table(bfp6: DensityRow) -> DensityTable:
    rows = (
        DensityRow(
            format=formats.get("float32_ftz"),
            lanes=1,
            accumulator="fp32_ftz",
            lut=costs(carry=1164, star=1956, booth=1599),
            area_um2=costs(nangate45=6461.7),
            min_period_ns={"nangate45": 5.97},
            flip_flops_per_mac=32.0,
            qsnr_weights_db=math.inf,
            qsnr_activations_db=math.inf,
        ),
        DensityRow(
            format=formats.get("int8"),
            lanes=1,
            accumulator="int32",
            lut=costs(carry=106, star=165, booth=127),
            area_um2=costs(nangate45=961.6),
            min_period_ns={"nangate45": 1.80},
            flip_flops_per_mac=32.0,
            qsnr_weights_db=38.2,
            qsnr_activations_db=31.0,
            published=(Published(quantity="arithmetic_density_lut", value=7.7, trust="D", source=PAPER),),
        ),
        DensityRow(
            format=formats.get("int8"),
            lanes=16,
            accumulator="int32",
            lut=costs(carry=92, star=158, booth=121),
            area_um2=costs(nangate45=706.8),
            qsnr_weights_db=38.2,
            qsnr_activations_db=31.0,
        ),
        bfp6,
        DensityRow(
            format=formats.get("bfp6"),
            lanes=16,
            accumulator="aligned24",
            lut=costs(carry=64.4, star=81.8, booth=94.8),
            area_um2=costs(nangate45=392),
            min_period_ns={"nangate45": 3.09},
            qsnr_weights_db=30.73,
            qsnr_activations_db=28.1,
        ),
        DensityRow(
            format=formats.get("bfp4"),
            lanes=16,
            accumulator="aligned24",
            lut=costs(carry=41.6, star=45.9),
            area_um2=costs(nangate45=235),
            published=(Published(quantity="lut_per_mac", value=22.4, trust="M", source=PAPER),),
        ),
    )
    return DensityTable(
        rows=rows,
        baseline="float32 MAC, subnormals flushed; int8 MAC, 32-bit accumulator; lane of a 16-lane int8 dot",
        flows={"carry": "carry chains", "star": "plain operators", "booth": "Booth multipliers"},
        default_flow="carry",
        libraries={"nangate45": "45 nm, 1.1 V"},
        default_library="nangate45",
        tool="pyosys 0.70",
        workload="weights and activations of a small language model",
        notes=("BFP6 is 19.8 times as dense as float32.", "Against an int8 MAC it is 1.8, not 2.5."),
    )
