"""Faults of any HEAR task folder, as file:line."""
