"""Photographs, synthetic faces, benchmarks: detection, alignment, caching, Lightning datamodules."""
