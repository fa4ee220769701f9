"""Releases: who is out, who follows, and what must hold before."""
