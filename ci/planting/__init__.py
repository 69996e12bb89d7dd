"""A zoo of planted bugs: series with a known culprit, and what `lab bisect` says of them."""
