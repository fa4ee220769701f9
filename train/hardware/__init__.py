"""Machines: how they meet, what memory a run takes, and when an update hangs."""
