"""Systolic arrays in Verilog: rows x cols processing elements around one unit, with their skew registers and drain.

Words enter unskewed, one step for the whole array at an edge; the array delays row i by i cycles and column j by j, so
that element (i, j) takes step t in at edge t + i + j. Activations move right, and `take` with them.

declaration.py        what an array is, and its ports
wiring.py             the words that move and how they are skewed, for all of them
output_stationary.py  an element keeps its sum, weights move down, results are shifted out behind the last step
weight_stationary.py  an element keeps its weights, partial sums enter at the top and leave at the bottom
double_buffered_results.py, double_buffered_weights.py
                      the same two with a second register an element: folds follow each other without a gap
emit.py               the file of an array
"""

from densimeter.rtl.array.declaration import SystolicArray, array_ports
from densimeter.rtl.array.emit import emit_array

__all__ = ["SystolicArray", "array_ports", "emit_array"]
