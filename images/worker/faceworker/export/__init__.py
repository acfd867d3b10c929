"""Build time: makes the networks that the worker runs of the reference's originals."""
