"""Generators of tiny models that real inference servers load and answer from.

The same arguments give the same bytes on every platform and with every version of numpy; another seed gives other
bytes of the same size. The weights are random: answers are words without meaning, fast.
"""
