"""The parts of an ablation study: its cells and their comparison."""
