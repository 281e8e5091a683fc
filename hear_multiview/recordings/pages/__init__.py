"""Pages to explore a table of embeddings and to listen to what a search has found.

All that needs the libraries of the extra ``recordings`` besides formats of tables is here.
"""
