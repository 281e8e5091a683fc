"""The benchmark: how fast and how small each part is, beside the stock library and beside the machine's own limit.

A file is a family of rows; each of its functions measures and returns `Row`s. What is compared runs by turns, in fresh
processes with the environment of a user who has set nothing, and what counts is the median.
"""
