"""The hunt for unknown triggers: proposes, ranks and records. It cannot see the gate, which confirms.

`cues` and `scan` read a training file without a model; `search.hunt` runs one arm over a `ground`.
"""
