"""Self-supervised learning with multiple sampling strategies (Kuroyanagi & Komatsu 2022, arXiv 2505.18984)."""
