"""The app tier: takes one request at a time from the queue and answers who is on its image."""
