"""Photographs against renderings of their reconstructions, by a recognition network."""
