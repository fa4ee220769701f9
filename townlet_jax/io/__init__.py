"""Files: digests and replays."""
