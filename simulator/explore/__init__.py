"""Design-space exploration: from axes and constraints to result rows and their Pareto front."""
