"""Other machines: hosts over SSH, and many of them as workers. All extras, imported where they are used."""
