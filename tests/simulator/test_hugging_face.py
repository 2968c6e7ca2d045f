"""Reading a config.json: defaults of an architecture, and messages that name file, key and expectation."""

import json
from pathlib import Path
from typing import Any

import pytest

from densimeter.formats.errors import ConfigError
from densimeter.simulator.workloads.language_models import from_hugging_face, language_model
from densimeter.simulator.workloads.language_models.families import named_models

TINY = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
}


def write(folder: Path, values: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(values))
    return file


@pytest.mark.parametrize("name", named_models())
def test_the_list_and_a_file_are_read_alike(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    file = write(folder, {**named_models()[name].values, "torch_dtype": "bfloat16", "rope_theta": 1e4})
    found = from_hugging_face(file)
    assert found.name == name
    assert {**vars(found), "source": ""} == {**vars(language_model(name)), "source": ""}


def test_a_folder_or_a_file_is_a_model_too(tmp_path: Path) -> None:
    file = write(tmp_path, TINY)
    assert language_model(file) == language_model(str(tmp_path)) == from_hugging_face(tmp_path)
    assert language_model(file).source == str(file)


def test_what_a_file_leaves_out_follows_from_the_rest(tmp_path: Path) -> None:
    found = from_hugging_face(write(tmp_path, TINY))
    assert (found.kv_heads, found.head_dim, found.embedding) == (4, 64 // 4, 64)
    assert (found.tied, found.qkv_bias, found.window, found.positions) == (False, False, None, 0)


@pytest.mark.parametrize(
    ("model_type", "changes", "field", "expected"),
    [
        ("llama", {"attention_bias": True}, "qkv_bias", True),
        ("llama", {"num_key_value_heads": None}, "kv_heads", 4),
        ("llama", {"head_dim": 32}, "head_dim", 32),
        ("mistral", {"num_key_value_heads": 2}, "window", 4096),
        ("mistral", {"num_key_value_heads": 2, "sliding_window": None}, "window", None),
        ("qwen2", {}, "qkv_bias", True),
        ("qwen3", {}, "head_dim", 128),
        ("qwen3", {}, "qk_norm", True),
        ("gemma", {"hidden_activation": None}, "activation", "gelu_tanh"),
        ("gemma", {}, "tied", True),
    ],
)
def test_defaults_of_an_architecture(
    model_type: str, changes: dict[str, Any], field: str, expected: object, tmp_path: Path
) -> None:
    found = from_hugging_face(write(tmp_path, {**TINY, "model_type": model_type, **changes}))
    assert getattr(found, field) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "lama"}, "model_type is 'lama', expected one of llama, .*; did you mean 'llama'"),
        ({"model_type": None}, "model_type is None, expected one of"),
        ({"hidden_size": None}, "hidden_size is missing, expected a whole number of 1 or more for model_type 'llama'"),
        ({"hidden_size": "64"}, "hidden_size is '64', expected a whole number of 1 or more"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, expected a whole number of 1 or more"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1, expected true or false"),
        ({"hidden_act": "sillu"}, "hidden_act is 'sillu', expected one of silu, .*; did you mean 'silu'"),
        ({"num_key_value_heads": 3}, "4 heads on 3 key heads, expected a multiple"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window is True, expected False"),
    ],
)
def test_a_wrong_file_is_told_what_was_expected(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = write(tmp_path, {**TINY, **changes})
    with pytest.raises(ConfigError, match=message) as caught:
        from_hugging_face(file)
    assert str(caught.value).startswith(str(file))


def test_a_missing_key_is_missing(tmp_path: Path) -> None:
    file = write(tmp_path, {key: value for key, value in TINY.items() if key != "vocab_size"})
    with pytest.raises(ConfigError, match=f"^{file}: vocab_size is missing"):
        from_hugging_face(file)


def test_a_file_that_is_no_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json: cannot be read \(No such file or directory\)"):
        from_hugging_face(tmp_path)
    with pytest.raises(ConfigError, match="holds list, expected an object"):
        from_hugging_face(write(tmp_path, [TINY]))
    (tmp_path / "config.json").write_text('{"model_type":\n llama}')
    with pytest.raises(ConfigError, match=r"config\.json:2: not valid JSON"):
        from_hugging_face(tmp_path)
