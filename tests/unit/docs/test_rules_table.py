"""The page of the rules names all of them with their own tests, and each of them can still be removed."""

import pytest
from mutate_rules import BEGIN, END, PAGE, ROOT, RULES, Rule, marked_tests, table

BUILT = [rule for rule in RULES if rule.file]


def test_the_rules_are_numbered_in_order() -> None:
    assert [rule.number for rule in RULES] == [*range(1, 21)]


def test_the_page_has_the_table_that_make_mutate_rules_writes() -> None:
    assert PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0] == table(marked_tests())


def test_each_rule_that_is_built_has_a_test_of_its_own_and_no_other_rule_has() -> None:
    assert {*marked_tests()} == {rule.number for rule in BUILT}


@pytest.mark.parametrize("rule", BUILT, ids=lambda rule: str(rule.number))
def test_a_rule_can_still_be_removed(rule: Rule) -> None:
    assert (ROOT / rule.file).read_text(encoding="utf-8").count(rule.find) == 1
