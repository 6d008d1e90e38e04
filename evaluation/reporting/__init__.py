"""Results files, their provenance and their tables: a library that knows no data set and no method."""
