"""The gazetteer of addresses: which properties there are and what they are called."""
