"""From a bug report to a draft case: what its console proves of the kernel, the machine and the config."""
