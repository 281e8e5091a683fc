"""A mixture and its separated sources (Fonseca et al. 2021, arXiv 2105.02132)."""
