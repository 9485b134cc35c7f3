"""What can be known before a cluster is paid for: small pure checks of a recipe against workers and a device, all of them at once.

`facts` brings together what the checks look at, `registry` runs them; each check has an identifier, evidence in numbers, and where it
fails a remedy. Nothing is clamped. The trainer imports none of this: what is checked here decides no weight.
"""
