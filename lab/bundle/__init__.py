"""A case packed so that someone else repeats it: with one command, and without the lab."""
