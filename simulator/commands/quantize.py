"""`densimeter quantize IN --format NAME -o OUT`: codes and scales of a file's tensors, and what the format did to
them."""

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from densimeter.formats import BlockFormat, ConfigError, resolve
from densimeter.simulator.commands.output import JsonOption, console, plain_table, print_json, shown_path, track


def quantize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A .npy or .safetensors file.")],
    format_name: Annotated[
        str, typer.Option("--format", "-f", help="A catalog name or a declaration in YAML flow style.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    as_json: JsonOption = False,
) -> None:
    """Quantise every floating-point tensor of a file along its last axis and report the error of each."""
    from densimeter.kernels import quantize as quantize_tensor
    from densimeter.simulator.numerics import ErrorStatistics, error_statistics
    from densimeter.simulator.quantized_file import save
    from densimeter.simulator.workloads.tensors import load

    fmt = resolve(format_name)
    if output.suffix != ".safetensors" or not output.parent.is_dir():
        raise ConfigError(f"{output}: expected a name ending in .safetensors in a folder that exists")
    workload = load(source)
    quantized, statistics = {}, dict[str, ErrorStatistics]()
    for tensor in track(workload.tensors, "quantising", len(workload.tensors)):
        quantized[tensor.name] = quantize_tensor(tensor.values, fmt)
        statistics[tensor.name] = error_statistics(tensor.values, quantized[tensor.name])
    save(output, quantized, fmt)
    sizes = {name: tensor.nbytes for name, tensor in quantized.items()}
    if as_json:
        rows = [{"tensor": n, "packed_bytes": sizes[n], **s.to_json()} for n, s in statistics.items()]
        print_json({"format": fmt.name, "output": str(output), "skipped": workload.skipped, "tensors": rows})
        return
    console.print(_table(statistics, sizes, fmt))
    if workload.skipped:
        console.print(f"{workload.skipped} tensors left out: one axis, no elements, or not floating point")
    console.print(f"wrote {shown_path(output)}")


def _table(statistics: dict, sizes: dict[str, int], fmt: BlockFormat) -> Table:  # type: ignore[type-arg]
    title = f"{fmt.name}: {float(fmt.bits_per_value):g} bits per value"
    headings = ">values", ">packed bytes", ">QSNR dB", ">max |error|", ">saturated %", ">flushed %"
    table = plain_table(title, "tensor", *headings)
    for name, s in statistics.items():
        qsnr = f"{s.qsnr_db:.2f}" if math.isfinite(s.qsnr_db) else "exact"
        shares = f"{100 * s.saturated_share:.3f}", f"{100 * s.flushed_share:.3f}"
        table.add_row(name, f"{s.values:,}", f"{sizes[name]:,}", qsnr, f"{s.max_abs_error:.3g}", *shares)
    return table
