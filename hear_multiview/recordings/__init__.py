"""Recordings in, embeddings out: files and folders of audio to a table of embeddings, and back.

This is the only part of the package that knows of files of audio, so the only one that imports their reader,
`sonyc_tasks.dataset.audio`.
"""
