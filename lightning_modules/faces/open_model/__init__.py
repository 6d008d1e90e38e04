"""The open morphable model: a synthetic face model that needs no licence, not scan statistics."""
