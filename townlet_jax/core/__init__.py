"""Kernels on plain arrays: they know no World and no State."""
