# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Products and accumulators
#
# `matmul` gives what a circuit gives: exact sums within a group of lanes, and across groups whatever the accumulator
# does.

# %%
import numpy as np
import plotly.graph_objects as go

import densimeter.formats as F
import densimeter.kernels as K

rng = np.random.default_rng(0)
a = rng.standard_normal((32, 2048), dtype=np.float32)
w = rng.standard_normal((64, 2048), dtype=np.float32)
exact = a.astype(np.float64) @ w.T.astype(np.float64)


def qsnr_db(y: np.ndarray) -> float:
    return float(10 * np.log10(np.square(exact).sum() / np.square(exact - y).sum()))


# %% [markdown]
# What the accumulator costs in accuracy, for one format of the operands. The first row leaves the sums exact: what is
# lost there, quantisation lost.

# %%
fmt = F.get("bfp6")
held_a, held_w = (K.quantize(x, fmt).dequantize().astype(np.float64) for x in (a, w))
print(f"{'exact sums':<14} {qsnr_db(held_a @ held_w.T):.2f} dB")
for accumulator in ("fp32", "aligned24", "aligned20", "fixed32:-12", "fixed20:-2"):
    y = K.matmul(a, w, activation=fmt, weight=fmt, accumulator=accumulator)
    print(f"{accumulator:<14} {qsnr_db(y):.2f} dB")

# %% [markdown]
# A fixed register that is too short does not lose a little: it saturates. How wide must it be? Its lowest bit is worth
# 2^-12, so that each bit more doubles the largest sum:

# %%
bits = list(range(14, 25))
quality = [qsnr_db(K.matmul(a, w, activation=fmt, weight=fmt, accumulator=f"fixed{n}:-12")) for n in bits]
figure = go.Figure(go.Scatter(x=bits, y=quality, mode="lines+markers"))
figure.update_layout(xaxis_title="bits of the register", yaxis_title="QSNR, dB", template="plotly_white")
figure

# %% [markdown]
# ## Mixed operands
#
# Weights and activations may differ. The unit's widths follow from the two:

# %%
datapath = F.derive(F.get("bfp6"), F.get("bfp4"), 16, "aligned24")
print(f"product {datapath.product_bits} bits, sum {datapath.sum_bits} bits, register {datapath.register_bits} bits")
y = K.matmul(a, w, activation=F.get("bfp6"), weight=F.get("bfp4"), accumulator="aligned24")
print(f"{qsnr_db(y):.2f} dB")
