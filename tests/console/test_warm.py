"""A process that is warm reads its first report as quickly as the next."""

import subprocess
import sys
from pathlib import Path

from lab.console.scanner import Scanner
from lab.console.warm import EXAMPLE

CONSOLE = Path(__file__).parents[1] / "data" / "consoles" / "early-policy-6.1.txt"
COUNT = """\
import re._compiler, sys
from pathlib import Path
from lab.console.scanner import Scanner
from lab.console.warm import warm
made = []
compile = re._compiler.compile
re._compiler.compile = lambda *words: (made.append(words[0]), compile(*words))[1]
if sys.argv[2:]:
    warm()
before = len(made)
Scanner().feed(Path(sys.argv[1]).read_bytes())
print(before, len(made) - before)
"""


def compiled(*words):
    argv = [sys.executable, "-c", COUNT, str(CONSOLE), *words]
    before, later = subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout.split()
    return int(before), int(later)


def test_what_the_first_report_needs_is_made_before():
    cold, warm = compiled(), compiled("warm")
    assert cold[0] == 0
    assert cold[1] > 20, "patterns are compiled when the first report comes"
    assert warm == (warm[0], 0)


def test_the_example_is_a_report():
    scanner = Scanner()
    scanner.feed(EXAMPLE)
    assert scanner.fatal
    assert scanner.fatal.title == "kernel BUG in policy_zonelist"
    assert scanner.complete
