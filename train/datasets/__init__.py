"""Datasets of recorded towns: written by `train.capture`, read by learners."""
