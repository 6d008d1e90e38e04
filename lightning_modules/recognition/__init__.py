"""Frozen face recognition networks behind one interface. A library."""
