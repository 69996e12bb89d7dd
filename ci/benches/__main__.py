"""``ci/bench NAME [--json]``: run one bench and print what it measured."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from lab.errors import LabError


def main() -> int:
    """The bench that the command line names; 0, or the lab's exit code for what went wrong."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    parser = argparse.ArgumentParser(prog="ci/bench", description="Measure the lab.")
    benches = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    modules = {name: importlib.import_module(f"benches.{name}") for name in names}
    for name, module in modules.items():
        bench = benches.add_parser(
            name, help=(module.__doc__ or "").strip().splitlines()[0], description=module.__doc__
        )
        bench.add_argument("--json", action="store_true", dest="as_json", help="One JSON document on standard output.")
        module.add_arguments(bench)
    arguments = parser.parse_args()
    try:
        result = modules[arguments.name].measure(arguments)
    except LabError as error:
        print(f"ci/bench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ci/bench: interrupted", file=sys.stderr)
        return 130
    if arguments.as_json:
        print(json.dumps(result))
    else:
        width = max(map(len, result))
        for key, value in result.items():
            print(f"{key:{width}}  {f'{value:.3f}' if isinstance(value, float) else value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
