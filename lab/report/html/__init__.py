"""The HTML report: nights to one folder of pages that need neither a server nor a script."""
