"""Clips to batches: the latent store, extraction, view samplers, batches, prefetching."""
