"""The assets of a dataset and of a recipe, one module each. Thin: what is computed, the floors below compute."""
