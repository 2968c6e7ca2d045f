"""Emitted text: complete, clean, deterministic, and telling its declaration."""

import re
import subprocess
from pathlib import Path

import pytest

import densimeter.formats as F
from densimeter.rtl.emit import emit
from densimeter.rtl.ports import ports
from support.unit_streams import any_format

UNITS = [
    ("int8", "int8", 16, "int32"),
    ("bfp6", "bfp6", 16, "fixed48:-24"),
    ("bfp6", "bfp4", 16, "aligned24"),
    ("nvfp4", "nvfp4", 16, "fp32"),
    ("mxfp8_e5m2", "mxint8", 4, "aligned48"),
    ("bl8", "e4m3", 16, "fp32_ftz"),
    ("float32_ftz", "float32_ftz", 1, "fp32_ftz"),
    ("{element: e3m1, block: 24, scale: e8m0}", "int4", 24, "fixed40:-20"),
]
IDENTIFIER = re.compile(r"[a-z]\w*")


def _derive(activation: str, weight: str, lanes: int, accumulator: str) -> F.Datapath:
    return F.derive(any_format(activation), any_format(weight), lanes, accumulator)


@pytest.mark.rtl
@pytest.mark.parametrize("unit", UNITS)
def test_compiles_alone_without_a_warning(unit: tuple[str, str, int, str], tmp_path: Path) -> None:
    emitted = emit(_derive(*unit))
    (tmp_path / "unit.v").write_text(emitted.text, encoding="utf-8")
    command = ["iverilog", "-g2012", "-Wall", "-s", emitted.name, "-o", "unit.vvp", "unit.v"]
    compiled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (compiled.returncode, compiled.stdout + compiled.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_same_declaration_gives_the_same_text(unit: tuple[str, str, int, str]) -> None:
    assert emit(_derive(*unit)) == emit(_derive(*unit))
    assert IDENTIFIER.fullmatch(emit(_derive(*unit)).name)


def test_header_names_the_declaration() -> None:
    text = emit(_derive("bfp6", "mxint8", 16, "aligned24")).text
    header = text[: text.index("module")]
    for told in (
        "bfp6: sign-magnitude int6",
        "mxint8: twos-complement int8",
        "lanes:       16",
        "aligned24",
        "latency",
    ):
        assert told in header
    # 5 bits times 8 bits with the largest product 31 * 128 = 3968, so 12; 16 of them and a sign: 12 + 4 + 1.
    assert "product 12 + sign" in header
    assert "sum 17" in header
    # [codes 0..510 plus a bit of headroom][significand]
    assert "[33:24] exponent code, [23:0] two's complement significand" in header


def test_holds_only_the_library_modules_it_uses() -> None:
    integer = emit(_derive("int8", "int8", 16, "int32")).text
    assert re.findall(r"^module (\w+)", integer, re.MULTILINE)[1:] == [
        "dm_clamp",
        "dm_accumulate_int",
        "dm_multiply",
        "dm_sum_signed",
    ]


def test_ports_are_only_those_the_formats_need() -> None:
    def names(*unit: object) -> list[str]:
        return [port.name for port in ports(_derive(*unit))]  # type: ignore[arg-type]

    plain = ["clk", "en", "clear", "activation", "weight", "accumulator"]
    assert names("int8", "int8", 4, "int32") == plain
    assert names("bfp6", "int8", 16, "fp32") == [*plain[:5], "activation_scale", "accumulator"]
    assert names("mxint8", "int8", 16, "aligned30") == [*plain[:5], "activation_scale", "accumulator", "invalid"]
    # A binary32 register holds NaN and Inf itself.
    assert "invalid" not in names("mxint8", "int8", 16, "fp32")


def test_port_widths() -> None:
    widths = {port.name: port.bits for port in ports(_derive("bfp6", "nvfp4", 8, "aligned32"))}
    assert widths["activation"] == 8 * 6
    assert widths["weight"] == 8 * 4
    assert widths["activation_scale"] == widths["weight_scale"] == 8
    # 255 + 15 needs 9 bits of exponent, one more is headroom.
    assert widths["accumulator"] == 32 + 9 + 1
