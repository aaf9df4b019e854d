"""Planning applications, from submission to appeal."""
