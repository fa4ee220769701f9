"""The stages of a curriculum: gates, what is carried from stage to stage, and the record of it."""
