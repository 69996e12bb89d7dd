"""The boot matrix: what to run tonight, and running it."""
