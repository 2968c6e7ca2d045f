"""A systolic accelerator of dot-product units: its cycles, bytes, joules and square millimetres.

machine      what there is: array, buffers, memory, clock; and the format that each tensor is stored in
parts        what each part of it costs on its own, looked up once
tiling       how a product is cut to the buffers
performance  cycles and bits of products on machines, compiled
cost         areas and energies, from those counts and the parts' costs
evaluation   all of it put together, for one machine or for columns of them
"""
