"""Accounts of an emulated AWS, its permissions, and recordings of calls."""
