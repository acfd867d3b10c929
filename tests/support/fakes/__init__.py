"""Stand-ins for parts of the system and for AWS, in memory or as small processes."""
