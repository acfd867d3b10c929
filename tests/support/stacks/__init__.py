"""Stacks and machines that tests start, and what they run on."""
