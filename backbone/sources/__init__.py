"""Where documents come from; these modules wait."""
