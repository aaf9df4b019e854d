"""Social care: that a case changed, and nothing else."""
