"""Bases and series: fetch, verify, apply."""
