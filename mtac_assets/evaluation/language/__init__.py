"""How good a language model is: loss and bits per byte of held-out documents, what it writes, and tasks that code can score."""
