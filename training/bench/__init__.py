"""The benchmark: time and memory of each part, compared with the stock library and with the limit of the machine.

Each module measures one family of rows and returns `Row`s. Contenders run interleaved, in fresh processes with the
environment of a user who has set nothing, and the median is reported.
"""
