"""Requests from the public: potholes, fly-tipping, street lights, and what becomes of them."""
