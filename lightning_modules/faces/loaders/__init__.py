"""Readers of published morphable models."""
