"""Probes of frozen embeddings: heareval in its own processes, and linear ones."""
