"""Replay: a stretch of days played through the real definitions, in surroundings of its own, once for each policy.

`policies`: what is compared. `landing`: the files that will land. `surroundings`: the checkout and state a policy plays in.
`library`: models that one policy has trained and another need not. `moments`: what happens when in a day. `daemon`: sensors,
schedules and runs, evaluated by Dagster itself. `player`: the loop over the days (`python -m` this package, in the checkout).
`forerunner`: models trained before the player asks for them, by a process beside it. `account`: what happened, read from the records that the runs left. `replay`: all of it, and the document that comes out.
Nothing here trains, judges or promotes by itself: that is the definitions' work.
"""
