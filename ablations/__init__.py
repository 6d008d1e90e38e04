"""Training runs: one, a grid of them, sweeps."""
