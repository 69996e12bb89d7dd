"""Results that last: what was run, what came of it, and what changed since."""
