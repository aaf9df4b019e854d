"""What Backbone costs: records a CPU-second and memory, beside a plain client that does the same job."""
