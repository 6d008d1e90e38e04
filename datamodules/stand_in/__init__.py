"""How stand-in photographs and scans are made. A library."""
