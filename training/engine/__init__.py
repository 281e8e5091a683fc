"""One training run, many runs, many processes."""
