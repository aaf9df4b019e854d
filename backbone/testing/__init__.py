"""What authors of adapters and sources test with: contract suites that ship with the product."""
