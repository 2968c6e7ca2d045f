"""One thread for everything here: the tensors are so small that threads would only wait for each other."""

from collections.abc import Iterator
from importlib.util import find_spec

import numba
import pytest


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    usual = numba.get_num_threads()
    numba.set_num_threads(1)
    if find_spec("torch") is None:
        yield
    else:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)
    numba.set_num_threads(usual)
