"""Pure functions that score meshes, similarities and retrieval."""
