"""Commands that score checkpoints and meshes."""
