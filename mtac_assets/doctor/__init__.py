"""Is this environment fit to work in? Each part is examined by itself; what is wrong comes with what to do about it."""
