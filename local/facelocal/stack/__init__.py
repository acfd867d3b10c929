"""The whole system as processes on one machine, with no Docker."""
