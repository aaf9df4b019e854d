"""The catalogue of the vocabulary: a static site for people who decide, who code and who protect data."""
