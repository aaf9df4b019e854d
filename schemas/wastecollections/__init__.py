"""Collections of household waste: planned, done, not done, missed."""
