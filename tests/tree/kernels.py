"""What makes a folder a kernel source."""


def makefile(version: str) -> str:
    """The head of the kernel's Makefile for ``version`` (``3.7.0-rc4``)."""
    number, dash, extra = version.partition("-")
    major, patch, sub = number.split(".")
    numbers = f"VERSION = {major}\nPATCHLEVEL = {patch}\nSUBLEVEL = {sub}\n"
    return f"# SPDX\n{numbers}EXTRAVERSION = {dash}{extra}\nNAME = Test\n"
