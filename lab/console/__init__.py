"""Bytes of a console to findings, stages and signatures."""
