"""Floor 4: what users run. YAML in, design points evaluated on all floors below, result rows and reports out."""

from densimeter.simulator.evaluate import evaluate

__all__ = ["evaluate"]
