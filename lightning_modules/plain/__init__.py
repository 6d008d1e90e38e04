"""Files and folders: what every library and command may import."""
