"""The `densimeter` command: subcommands assembled, errors turned into messages and exit codes.

Exit codes: 0 done, 1 failed (a tool, a comparison), 2 bad input.
"""

import sys

import typer

from densimeter.formats.errors import ConfigError, DensimeterError, FormatError
from densimeter.simulator.commands import rtl
from densimeter.simulator.commands.accumulators import accumulators
from densimeter.simulator.commands.accuracy import accuracy
from densimeter.simulator.commands.check import check
from densimeter.simulator.commands.density import density
from densimeter.simulator.commands.doctor import doctor
from densimeter.simulator.commands.evaluate import evaluate
from densimeter.simulator.commands.formats import formats
from densimeter.simulator.commands.init import init
from densimeter.simulator.commands.literature import literature
from densimeter.simulator.commands.merge import merge
from densimeter.simulator.commands.output import errors
from densimeter.simulator.commands.quantize import quantize
from densimeter.simulator.commands.report import report
from densimeter.simulator.commands.rtl_characterize import rtl_characterize
from densimeter.simulator.commands.rtl_emit import rtl_emit
from densimeter.simulator.commands.rtl_equal_clock import rtl_equal_clock
from densimeter.simulator.commands.rtl_power import rtl_power
from densimeter.simulator.commands.rtl_prove import rtl_prove
from densimeter.simulator.commands.rtl_test_array import rtl_test_array
from densimeter.simulator.commands.run import run
from densimeter.simulator.commands.schema import schema

_FAILED, _BAD_INPUT, _INTERRUPTED = 1, 2, 130

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="What a number format costs in silicon, and what it does to the numbers.",
)
app.command()(formats)
app.command()(density)
app.command()(evaluate)
app.command()(init)
app.command()(check)
app.command()(run)
app.command()(merge)
app.command()(schema)
app.command()(report)
app.command()(quantize)
app.command()(accuracy)
app.command()(accumulators)
app.command()(literature)
rtl.app.command("emit")(rtl_emit)
rtl.app.command("test-array")(rtl_test_array)
rtl.app.command("prove")(rtl_prove)
rtl.app.command("power")(rtl_power)
rtl.app.command("characterize")(rtl_characterize)
rtl.app.command("equal-clock")(rtl_equal_clock)
app.add_typer(rtl.app, name="rtl")
app.command()(doctor)


def main() -> None:
    """Run the command line; user errors end with a message, never with a traceback."""
    try:
        app()
    except DensimeterError as error:
        errors.print("[red]error:[/red] ", end="")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(_BAD_INPUT if isinstance(error, ConfigError | FormatError) else _FAILED)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            errors.print("interrupted; finished results are kept, nothing half-written is left behind")
        raise
