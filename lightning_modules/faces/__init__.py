"""Morphable models: coefficients in, meshes out. A library: no Lightning, no wandb."""
