"""The web tier: takes a photograph over HTTP, has it recognised, answers with a name."""
