"""Language models as workloads: a name or a config.json in, matrix products, vector work and memory out."""

from densimeter.simulator.workloads.language_models.config import ModelConfig
from densimeter.simulator.workloads.language_models.families import config_path, language_model, model_names
from densimeter.simulator.workloads.language_models.hugging_face import from_hugging_face
from densimeter.simulator.workloads.language_models.phases import workload

__all__ = ["ModelConfig", "config_path", "from_hugging_face", "language_model", "model_names", "workload"]
