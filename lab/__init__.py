"""The kernel boot lab: does this kernel boot without a bug, and if not, since which patch?"""

__version__ = "0.1.0"
