"""The model as other benchmarks than HEAR need it; each module imports without the benchmark's package."""
