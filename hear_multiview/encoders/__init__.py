"""Encoders: frames of a front end to the named parts of an embedding."""
