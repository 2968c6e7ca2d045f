"""Numba's decorators with their types: integer and float arithmetic that plain Python and compiled loops share."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba.extending

_Function = TypeVar("_Function", bound=Callable[..., Any])

jitable: Callable[[_Function], _Function] = numba.extending.register_jitable
"""A function that stays plain Python, and that compiled loops may call."""
