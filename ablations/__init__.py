"""Training runs: one (run.py), a grid of them, sweeps."""
