"""What starts a line: schedule, arrival of files, upstream data; and the one door that all who ask for a training use.

`attempts`: what Dagster's run records say was tried. `challenger`: may a training start now? `arrival`, `follow_up`, `upstream`,
`schedule`: one trigger each. `tags`: what a run carries of its trigger. `line_job`: the job they start.
"""
