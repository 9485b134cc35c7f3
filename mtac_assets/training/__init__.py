"""The trainer: a stateless script that turns a recipe and a data pointer into a pack. docs/training.md is its page."""
