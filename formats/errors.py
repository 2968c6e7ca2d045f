"""The one tree of exceptions that densimeter raises for its users.

    DensimeterError
    ├── FormatError        a number format, element, scale or accumulator that cannot exist or cannot serve
    ├── ConfigError        bad input: a file, a key, a value, an option
    ├── ModelRangeError    a cost model asked for a point outside the data it rests on
    └── ToolError          an external tool is missing, failed, or proved nothing

Every message names the value, what was expected and what to do next; the command line prints it without a traceback.
"""

import difflib
from collections.abc import Iterable


class DensimeterError(Exception):
    """Base of every error that densimeter raises on purpose."""


class FormatError(DensimeterError):
    """A declaration that describes no usable number format, or a use that the format does not allow."""


class ConfigError(DensimeterError):
    """Input from outside (file, key, value, option) that is not what was expected."""


class ModelRangeError(DensimeterError):
    """A cost model was asked for a point outside the range of the data behind it."""


class ToolError(DensimeterError):
    """An external tool is missing, failed, or ended without proving anything."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""
