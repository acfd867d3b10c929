"""The page of the rules names all of them, in the words of the script that removes them, with tests that exist."""

import re

import pytest
from mutate_rules import PAGE, ROOT, RULES, Rule

ROW = re.compile(r"^\| (\d+) \| (.+) \| `(.+)` \|$", re.MULTILINE)


def test_the_table_lists_the_14_rules() -> None:
    assert [rule.number for rule in RULES] == [*range(1, 15)]
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert [(int(number), text) for number, text, _ in rows] == [(rule.number, rule.text) for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.number))
def test_a_rule_can_still_be_removed_and_its_test_exists(rule: Rule) -> None:
    assert (ROOT / rule.file).read_text(encoding="utf-8").count(rule.find) == 1
    test = next(test for number, _, test in ROW.findall(PAGE.read_text(encoding="utf-8")) if int(number) == rule.number)
    file, *_, name = test.split("::")
    source = (ROOT / "tests/unit" / file).read_text(encoding="utf-8")
    assert f"def {name}(" in source or "runTest" in name
