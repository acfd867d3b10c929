"""Build time: exports the originals to the networks that the worker runs."""
