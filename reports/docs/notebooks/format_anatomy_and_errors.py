# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Anatomy of a format, and its errors
#
# A format is an element, a block and a scale. As the last value of a cell it shows itself: its bits, and every value
# that it can hold.

# %%
import numpy as np
import plotly.graph_objects as go

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.simulator import error_statistics

F.get("mxfp4")

# %% [markdown]
# A format that no catalog names is as good. This one has the bits per value and the block of MXFP4, and no exponent in
# the element: all of the range comes from the shared scale.

# %%
own = F.parse({"name": "own", "element": "int4", "block": 32, "scale": "e8m0"})
own

# %% [markdown]
# ## Quantise
#
# The result holds codes and scales, as hardware would. The bars say how often each value of the element occurs.

# %%
x = np.random.default_rng(0).standard_t(5, (512, 1024)).astype(np.float32)
q = K.quantize(x, F.get("mxfp4"))
q

# %% [markdown]
# ## Errors
#
# Compared with its original: the ratio of signal to noise, what saturated, and the distribution of relative errors.

# %%
error_statistics(x, q)

# %% [markdown]
# How does that compare? A figure of Plotly is a value like any other.

# %%
candidates = [
    F.get(name) for name in ("mxfp4", "nvfp4", "bfp4", "bfp6", "mxfp6_e2m3", "int4_g32", "int8", "mxfp8_e4m3")
]
decibels = [error_statistics(x, K.quantize(x, fmt)).qsnr_db for fmt in [*candidates, own]]
figure = go.Figure(
    go.Scatter(
        x=[float(fmt.bits_per_value) for fmt in [*candidates, own]],
        y=decibels,
        text=[fmt.name for fmt in [*candidates, own]],
        mode="markers+text",
        textposition="top center",
    )
)
figure.update_layout(xaxis_title="bits per value", yaxis_title="QSNR, dB", template="plotly_white")
figure

# %% [markdown]
# About six decibels a bit, as theory has it; above the line are the formats whose scale follows the data more closely.

# %%
slope = np.polyfit([float(fmt.bits_per_value) for fmt in candidates], decibels[:-1], 1)[0]
print(f"{slope:.1f} dB a bit")
