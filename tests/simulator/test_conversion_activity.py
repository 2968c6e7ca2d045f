"""The stream behind a converter's energy: whole rows of a real model, and the answers of the kernels."""

from pathlib import Path

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.formats import reference
from densimeter.formats.errors import ToolError
from densimeter.hwmodels.conversion import Conversion, Stream, conversion_energy
from densimeter.rtl.cells.liberty import find_library
from densimeter.simulator.conversion_activity import conversion_stream
from densimeter.simulator.workloads import minilm


@pytest.fixture(autouse=True)
def _model() -> None:
    try:
        minilm.model()
    except ToolError as error:
        pytest.skip(str(error))


def conversion(source: str, target: str, lanes: int | None = None) -> Conversion:
    return Conversion(F.get(source), F.get(target), lanes)


def test_a_quantiser_takes_floats_and_answers_codes_and_a_scale() -> None:
    stream = conversion_stream(conversion("bfloat16", "mxfp4"))
    cycles = 8 * 384 // 32
    # 32 values of 16 bits in; 32 codes of 4 bits and an e8m0 out.
    assert {port: words.shape for port, words in stream.words.items()} == {"en": (cycles, 1), "value": (cycles, 64)}
    assert set(stream.expected) == {"code", "scale"}
    values = (stream.words["value"].view("<u2").astype(np.uint32) << 16).view(np.float32)
    assert np.isfinite(values).all()
    first = reference.quantize_block(values[0].tolist(), F.get("mxfp4"))
    assert stream.expected["scale"][0] == first[0]
    assert stream.expected["code"][0] == sum(code << 4 * lane for lane, code in enumerate(first[1]))


def test_a_dequantiser_takes_codes_with_every_scale_and_answers_floats() -> None:
    stream = conversion_stream(conversion("nvfp4", "bfloat16", 8))
    cycles = 8 * 384 // 8
    assert {port: words.shape for port, words in stream.words.items()} == {
        "en": (cycles, 1),
        "code": (cycles, 8 * 4 // 8),
        "scale": (cycles, 1),
        "tensor_scale": (cycles, 4),
    }
    # Blocks of 16 in groups of 8.
    scales = stream.words["scale"].reshape(-1, 2)
    assert (scales[:, 0] == scales[:, 1]).all()
    assert len(np.unique(scales)) > 10
    assert len(stream.expected["value"]) == cycles


def test_a_scale_of_the_tensor_is_the_same_at_every_cycle() -> None:
    words = conversion_stream(conversion("int4", "float32", 16)).words
    rows = words["scale"].reshape(8, -1, 4)
    assert (rows == rows[:, :1]).all()


@pytest.mark.rtl
def test_a_netlist_that_answers_otherwise_has_no_energy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = find_library("nangate45")
    if library.path is None:
        pytest.skip("nangate45 is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one = conversion("float32", "bfloat16", 1)
    right = conversion_stream(one)
    short = {port: words[:20] for port, words in right.words.items()}
    wrong = Stream(short, {"code": [word ^ (cycle == 7) for cycle, word in enumerate(right.expected["code"][:20])]})
    with pytest.raises(ToolError, match=r"holds a wrong register \(code\) after cycle 7"):
        conversion_energy(one, library, lambda: wrong, fresh=True)
