"""What is learnt, one module each: rows of a table (`tabular`), text (`language`). What the loop asks of them: `protocol`."""
