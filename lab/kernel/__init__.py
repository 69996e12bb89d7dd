"""Kconfig, toolchain, compat, build, and the store of built kernels."""
