"""The tree of exceptions and the suggestion that their messages carry."""

import pytest

from densimeter.formats import errors


@pytest.mark.parametrize("name", ["FormatError", "ConfigError", "ModelRangeError", "ToolError"])
def test_every_error_is_a_densimeter_error(name: str) -> None:
    assert getattr(errors, name).__mro__[1] is errors.DensimeterError
    assert name in str(errors.__doc__), "the docstring draws the tree"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("bfp66", "; did you mean 'bfp6'?"), ("mxpf4", "; did you mean 'mxfp4'?"), ("turnip", "")],
)
def test_nearest(name: str, suggestion: str) -> None:
    assert errors.nearest(name, ["float32", "bfp6", "mxfp4"]) == suggestion
