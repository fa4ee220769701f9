"""Many learners in one program: members, their rows and curves, and how they evolve."""
