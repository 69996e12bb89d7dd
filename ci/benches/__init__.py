"""Benches: one module each, with ``add_arguments(parser)`` and ``measure(arguments) -> dict``."""
