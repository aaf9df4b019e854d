"""Subscriptions to paid waste collections, such as garden waste."""
