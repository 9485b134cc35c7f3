"""Where the trainer runs, one module each.

A launcher is a command line that starts the same trainer once for each worker, tells each its place by torchrun's variables, and ends
as the training ends. The environment chooses it (`choice`), never the recipe; so the trainer imports none of them.
"""
