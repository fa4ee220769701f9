"""Configuration: YAML, checked, compiled to a `World`."""
