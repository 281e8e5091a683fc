"""Probes of frozen embeddings: heareval's MLPs, run in separate processes, and linear probes."""
