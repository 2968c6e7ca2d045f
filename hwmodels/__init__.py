"""What hardware costs (floor 2): area, energy and clock of units, memories and systolic arrays of them.

Figures come from a measured characterisation where there is one, else from a fitted model; each says which.
Imports floors 0 and 1.
"""
