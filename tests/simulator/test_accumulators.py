"""`densimeter accumulators`: shares and errors by width, on operands small enough to work out by hand."""

from pathlib import Path

import numpy as np
import pytest

from densimeter.formats import get
from densimeter.kernels import quantize, run_mac_array
from densimeter.simulator.accumulators import study_accumulators
from support.command import Densimeter

FIXED = "{element: int8}"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Outputs 3 * 100 = 300 and 3 * 10 = 30."""
    np.save(tmp_path / "a.npy", np.array([[1, 1, 1]], np.float32))
    np.save(tmp_path / "w.npy", np.array([[100, 100, 100], [10, 10, 10]], np.float32))
    return tmp_path / "a.npy", tmp_path / "w.npy"


def test_every_width_has_its_share_and_errors(densimeter: Densimeter, files: tuple[Path, Path]) -> None:
    found = densimeter("accumulators", *files, "-a", FIXED, "--from", 9, "--to", 10, "--json").json
    signal = 300**2 + 30**2
    assert found["outputs"] == 2
    assert found["widths"] == [
        {
            "bits": 9,  # -256 to 255
            "overflowed_share": 1 / 2,
            "wrap_qsnr_db": pytest.approx(10 * np.log10(signal / 512**2)),  # 300 - 512
            "saturate_qsnr_db": pytest.approx(10 * np.log10(signal / 45**2)),  # 300 - 255
        },
        {"bits": 10, "overflowed_share": 0.0, "wrap_qsnr_db": None, "saturate_qsnr_db": None},
    ]
    assert found["smallest_bits"] == 10
    assert found["weight_bound_bits"] == 17  # 300 * 128 = 38 400 < 2^16
    assert found["worst_case_bits"] == 17  # 3 * 128 * 128 = 49 152 < 2^16


def test_the_table_tells_the_safe_widths(densimeter: Densimeter, files: tuple[Path, Path]) -> None:
    shown = densimeter("accumulators", *files, "-a", FIXED, "--from", 9, "--to", 10)
    assert "exact" in shown.out
    assert "no overflow from 10 bits on these operands, from 17 with these weights" in shown.out


def test_several_products_are_judged_together() -> None:
    fmt, rng = get("int8"), np.random.default_rng(1)
    pairs = [
        (rng.standard_normal((4, 64)).astype(np.float32), rng.standard_normal((n, 64)).astype(np.float32))
        for n in (3, 5)
    ]
    study = study_accumulators(pairs, fmt, fmt, 1, [12])
    runs = [
        run_mac_array(quantize(a, fmt), quantize(w, fmt), activation=fmt, weight=fmt, accumulator="int12")
        for a, w in pairs
    ]
    assert study.outputs == 4 * 3 + 4 * 5
    assert study.widths[0].overflowed_share == sum(np.sum(run.overflows > 0) for run in runs) / study.outputs
    assert study.smallest_bits == max(run.smallest_bits for run in runs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.npy", "-a", "int8"], "1 file of operands, expected two"),
        (["a.npy", "none.npy", "-a", "int8"], "none.npy"),
        (["a.npy", "w.npy", "-a", "mxfp8_e4m3"], "has elements e4m3"),
        (["a.npy", "w.npy", "-a", "int8", "--from", "20", "--to", "12"], "--to is 12, expected at least --from, 20"),
        (["a.npy", "w.npy", "-a", "int8", "-l", "0"], "lanes is 0"),
        (["a.npy", "w.npy", "-a", "int9"], "int9"),
    ],
)
def test_bad_input(
    densimeter: Densimeter,
    files: tuple[Path, Path],
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(files[0].parent)
    outcome = densimeter("accumulators", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
