"""Long work: arrays on disk, several processes, progress bars. A library."""
