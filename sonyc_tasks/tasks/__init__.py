"""Data sets to HEAR task folders, and a validator of any task folder."""
