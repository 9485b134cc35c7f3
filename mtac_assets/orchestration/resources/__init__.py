"""Dagster resources of the project."""
