"""The bridge from a model to the closed form of `hwmodels.bounds`, which describes dense decoders alone."""

from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.bounds import TransformerShape
from densimeter.simulator.workloads.language_models.config import ModelConfig


def transformer_shape(config: ModelConfig) -> TransformerShape:
    """Sizes for the closed form; ConfigError for encoders, routed experts and projected embeddings, which it lacks."""
    if config.experts or not config.causal or config.embedding != config.hidden:
        raise ConfigError(f"{config.name} has no closed form, expected a dense decoder without projected embeddings")
    return TransformerShape(
        layers=config.layers,
        hidden=config.hidden,
        query_width=config.query_width,
        kv_width=config.kv_width,
        ffn=config.ffn,
        ffn_matrices=config.ffn_matrices,
        vocabulary=config.vocabulary,
    )
