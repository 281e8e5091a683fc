"""The model as benchmarks other than HEAR ask for it: a module each, which imports without the benchmark's package."""
