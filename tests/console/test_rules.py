"""Every rule recognises its own example, and nothing else claims that line first."""

from __future__ import annotations

import re

import pytest

from lab.console.rules import Rule, all_rules
from lab.console.scanner import Scanner
from lab.console.search import table

RULES = [pytest.param(rule, id=f"{rule.word}-{number}") for number, rule in enumerate(all_rules())]


def claiming(text: str) -> Rule | None:
    for rule in all_rules():
        if any(needle in text for needle in rule.needles) and re.search(rule.pattern, text):
            return rule
    return None


@pytest.mark.parametrize("rule", RULES)
def test_a_rules_example_is_claimed_by_it(rule: Rule) -> None:
    assert claiming(rule.example) is rule


@pytest.mark.parametrize(
    "rule", [param for param in RULES if param.values[0].role != "prelude" and param.values[0].title]
)
def test_a_report_of_every_kind_is_found_with_nothing_variable_in_its_title(rule: Rule) -> None:
    trace = " Call Trace:\n  dump_stack+0x10/0x20\n  guilty_function+0x12/0x34\n  start_kernel+0x1/0x2\n"
    scanner = Scanner()
    scanner.feed(f"[    1.000000] {rule.example}\n".encode())
    scanner.feed(trace.encode())
    found = scanner.close().findings
    assert len(found) == 1
    assert found[0].kind == rule.kind or rule.refine
    assert not re.search(r"0x[0-9a-f]+|[0-9a-f]{12}|\{", found[0].title)
    assert found[0].fatal == rule.fatal


def test_every_needle_stands_in_some_line_its_pattern_matches() -> None:
    for rule in all_rules():
        assert any(needle in rule.example for needle in rule.needles), rule.word


def test_no_needle_ends_in_one_character_again_and_again() -> None:
    """hyperscan takes 28 ms more to make its tables for one that does; 5 ms for all of 222."""
    assert [needle for needle in table().coarse if re.search(rb"(.)\1\1$", needle)] == []
