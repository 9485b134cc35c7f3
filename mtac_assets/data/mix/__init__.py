"""The mix of texts: which tokens come at which place of an endless stream, and how they come to lie in memory-mapped files.

`interleave`: whose turn it is at a place. `stream`: the tokens of places. `folder`: the files. `trace`: from a document back to places.
Does not belong here: batches and workers (`training`), and the permutation inside a source (`data.sampler`).
"""
