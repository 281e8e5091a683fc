"""Disentangled music sounds by a multi-view variational autoencoder (arXiv 2411.02711)."""
