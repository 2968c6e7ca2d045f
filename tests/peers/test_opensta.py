"""OpenSTA's second opinion on a netlist's leakage and switching power, every net changing equally often.

Its internal power is no second opinion in the version that Debian has (2.0.17): that adds a rise and a fall for each
change, and all groups with a condition by the share of time that it holds; later versions weigh them as `rtl.power`.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import densimeter.formats as F
from densimeter.rtl.cells.electrical import annotate
from densimeter.rtl.cells.liberty import find_library
from densimeter.rtl.cells.netlist import mapped_netlist
from densimeter.rtl.cells.power import leakage_nw
from densimeter.rtl.emit import emit

pytestmark = pytest.mark.skipif(shutil.which("sta") is None, reason="OpenSTA is not installed: apt install opensta")

ACTIVITY, PERIOD_NS = 0.2, 10
# Cells without a clock in their fan-in would be given no activity at all, hence the input delay.
SCRIPT = f"""read_liberty cells.lib
read_verilog netlist.v
link_design {{top}}
create_clock -period {PERIOD_NS} [get_ports clk]
set_input_delay 0 -clock clk [all_inputs]
set_power_activity -global -activity {ACTIVITY} -duty 0.5
report_power -digits 8
"""


@pytest.mark.parametrize(("name", "lanes", "accumulator"), [("int8", 1, "int32"), ("bfp4", 16, "aligned24")])
def test_leakage_and_switching_are_those_of_opensta(name: str, lanes: int, accumulator: str, tmp_path: Path) -> None:
    library = find_library("nangate45")
    if library.path is None:
        pytest.skip(f"nangate45 is not installed: {library.how_to_get}")
    module = emit(F.derive(F.get(name), F.get(name), lanes, accumulator))
    circuit = annotate(mapped_netlist(module.text, module.name, "star", library), library)
    without_wires = re.sub(r"default_wire_load\w*\s*:.*?;", "", library.path.read_text())
    (tmp_path / "cells.lib").write_text(without_wires)
    (tmp_path / "netlist.v").write_text(circuit.netlist.verilog())
    (tmp_path / "run.tcl").write_text(SCRIPT.format(top=module.name))
    done = subprocess.run(["sta", "-exit", "run.tcl"], cwd=tmp_path, capture_output=True, text=True, check=True)
    (total,) = re.findall(r"^Total\s+(\S+)\s+(\S+)\s+(\S+)", done.stdout, re.MULTILINE)
    _, switching_w, leakage_w = map(float, total)
    driven = {
        net
        for instance in circuit.netlist.instances
        for pin in circuit.cell(instance).functions
        if (net := circuit.net(instance, pin)) is not None
    }
    energy_fj = sum(ACTIVITY * circuit.loads_ff.get(net, 0) * library.voltage_v**2 / 2 for net in driven)
    assert leakage_w == pytest.approx(leakage_nw(circuit) * 1e-9, rel=1e-5)  # they add in single precision
    # Where the library has a pin's capacitance at a rise or a fall, OpenSTA takes these: 0.1 % less in all.
    assert switching_w == pytest.approx(energy_fj * 1e-15 / (PERIOD_NS * 1e-9), rel=2e-3)
