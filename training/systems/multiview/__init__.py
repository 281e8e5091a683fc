"""Latent multi-view learning for robust environmental sound representations (arXiv 2510.02500)."""
