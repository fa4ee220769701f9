"""Evaluation on held-out towns: indicators, statistics, and sweeps of worlds and policies."""
