"""Mesh files in and out, their colours and units."""
