"""What every library may import: files, the command line."""
