"""Statistics over seeds, figures, pages, model cards, publishing."""
