# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Density, a machine, and a sweep
#
# The table of densities for units of your choice. QSNR is measured on the tensors of a file; without one it would be
# those of a small encoder.

# %%
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import yaml

from densimeter.reports import density_figure, front_figure, machine_figure, read_run
from densimeter.reports.explore_tables import front_table
from densimeter.simulator import density_table, evaluate

folder = Path(mkdtemp(prefix="densimeter-notebook-"))
np.save(folder / "weights.npy", np.random.default_rng(0).standard_t(5, (256, 1024)).astype(np.float32))
units = [
    {"format": "int8", "lanes": 16, "accumulator": "int32"},
    {"format": "mxfp4", "lanes": 16, "accumulator": "fp32"},
    {"format": "bfp6", "lanes": 16, "accumulator": "fp32"},
    {"format": "bfp6", "lanes": 16, "accumulator": "aligned24"},
    {"format": "bfp4", "lanes": 16, "accumulator": "aligned24"},
]
table = density_table({"units": units, "workload": str(folder / "weights.npy"), "libraries": ["nangate45"]})
table

# %%
density_figure(table, width_px=800)

# %% [markdown]
# ## A machine
#
# An array of such units with its memories and what it runs, in full:

# %%
design = {
    "format": "bfp6",
    "accumulator": "aligned24",
    "lanes": 16,
    "array": {"rows": 16, "cols": 64},
    "buffers": {"activation_kib": 512, "weight_kib": 512, "sum_kib": 256},
    "dram": {"device": "hbm2e"},
    "workload": {"model": "llama-2-7b", "phase": "decode", "batch": 8, "context": 2048},
}
row = evaluate(design)
row

# %%
machine_figure(row)

# %% [markdown]
# ## A sweep
#
# What a notebook cannot decide, a sweep evaluates: `densimeter run` writes a folder, and `read_run` reads it.

# %%
sweep = {
    "name": "shape",
    "design": design,
    "axes": {"format": ["bfp4", "bfp6"], "array.rows": [8, 16, 32], "array.cols": {"powers_of_two": [32, 256]}},
    "constraints": ["feasible"],
    "objectives": {"tokens_per_s": "max", "area_mm2": "min"},
    "scenarios": ["format"],
}
(folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
# !densimeter run {folder}/sweep.yaml -o {folder}/run 2>/dev/null | tail -2

# %%
run = read_run(folder / "run")
front_figure(run)

# %% [markdown]
# Its front as a table:

# %%
front_table(run)
