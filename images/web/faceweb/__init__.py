"""The web tier: takes a photograph over HTTP, passes it to the workers, answers with a name."""
