"""Small spaces of designs, built without a YAML file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from densimeter.simulator.explore.numbering import NumberedAxis, Numbering
from densimeter.simulator.explore.settings import settings
from densimeter.simulator.explore.space import Column, Space

BASE: Mapping[str, Any] = {
    "format": "bfp6",
    "accumulator": "aligned24",
    "lanes": 16,
    "array": {"rows": 32, "cols": 32},
    "dram": {"device": "hbm2e"},
    "workload": {"model": "llama-2-7b", "context": 256},
}


def space_of(axes: Mapping[str, Sequence[Any]], base: Mapping[str, Any] = BASE) -> Space:
    """The product of these axes, given by path."""
    columns = {}
    for name, values in axes.items():
        labels = np.array([settings()[name].label(value) for value in values])
        columns[name] = Column(name, tuple(values), labels, {name: len(values)})
    return Space(base, Numbering(tuple(NumberedAxis(name, len(values)) for name, values in axes.items())), columns)
