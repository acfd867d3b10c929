"""AWS on a laptop: the emulator's server and the resources that a deployment needs in it."""
