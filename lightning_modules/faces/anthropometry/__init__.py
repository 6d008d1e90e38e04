"""Measures of faces, and what surveys of people found for them."""
