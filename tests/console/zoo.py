"""``ci/zoo`` as a module."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def load_zoo() -> ModuleType:
    """Run the script's definitions, once."""
    if "ci_zoo" not in sys.modules:
        loader = importlib.machinery.SourceFileLoader("ci_zoo", str(ROOT / "ci" / "zoo"))
        spec = importlib.util.spec_from_loader("ci_zoo", loader)
        assert spec
        sys.modules["ci_zoo"] = module = importlib.util.module_from_spec(spec)  # where a dataclass looks for its names
        loader.exec_module(module)
    return sys.modules["ci_zoo"]


ZOO = load_zoo()
