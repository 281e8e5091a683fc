"""One folder a paper, the same file names in each. A system imports the core; the core imports no system."""
