"""Real boards in a guest's place: labgrid drives power, console and loader, the lab follows the console and judges."""
