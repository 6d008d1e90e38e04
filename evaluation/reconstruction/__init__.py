"""Reconstructed and fitted faces as files and pictures."""
