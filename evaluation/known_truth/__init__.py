"""Synthetic people whose true faces are known."""
