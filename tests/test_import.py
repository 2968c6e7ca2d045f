"""Importing the package is quick: nothing is compiled, and what is heavy waits until it is used."""

import subprocess
import sys

import pytest

HEAVY = ("numba", "torch", "optuna", "plotly", "scipy", "transformers")


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["formats", "kernels", "simulator"])
def test_importing_compiles_nothing_and_loads_nothing_heavy(package: str) -> None:
    """Without Numba nothing can be compiled."""
    assert modules_after(f"import densimeter.{package}").isdisjoint(HEAVY)


def test_the_command_line_checks_no_configuration_before_there_is_one() -> None:
    assert modules_after("import densimeter.simulator.cli").isdisjoint({*HEAVY, "pydantic", "pyarrow"})


def test_kernels_have_all_their_names_and_the_function_of_one_that_is_a_module_too() -> None:
    uses_all = "assert all(callable(getattr(K, name)) for name in K.__all__)"
    assert "numba" in modules_after(f"import densimeter.kernels.matmul\nimport densimeter.kernels as K\n{uses_all}")
