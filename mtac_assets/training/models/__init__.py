"""The networks a recipe may name. One file each, readable on its own; `registry` finds them and a team's own."""
