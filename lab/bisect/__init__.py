"""Which point next (pure), and the loop that asks."""
