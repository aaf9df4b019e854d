"""Works on streets: permits, starts and stops, inspections, fixed penalties."""
