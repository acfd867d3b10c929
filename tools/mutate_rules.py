"""Removes the rules one by one, checks that each one's own tests fail, and writes the table: `make mutate-rules`.

A rule's own tests carry `@pytest.mark.rule(n)`. The rules are those of docs/elasticity.md, whose table this writes.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/elasticity.md"
BEGIN, END = "<!-- rules: written by make mutate-rules -->\n", "<!-- end of rules -->\n"
HEAD = "| rule | what it says | learned from | its test |\n| ---: | --- | --- | --- |\n"
NOT_BUILT = "not built yet"
SOURCES = "common:images/web:images/worker:controller:local:tests"
CONTROLLER = "controller/facecontroller"


@dataclass(frozen=True)
class Rule:
    """A rule, and the change of one place of the source that removes it; no change if it is not built yet."""

    number: int
    text: str
    learned_from: str = ""
    file: str = ""
    find: str = ""
    replace: str = ""


RULES = (
    Rule(
        1,
        "Nothing is stopped on one reading of an empty queue; the worker decides.",
        "terraform-aws-github-runner #5085, #5228: 14 jobs killed on a stale flag",
        f"{CONTROLLER}/policy.py",
        "return quiet_s >= enough_s and",
        "return",
    ),
    Rule(
        2,
        "A booting instance is capacity.",
        "Buildkite's elastic-ci-stack-for-aws #847: from 1 to 2 after ten seconds of boot",
        f"{CONTROLLER}/survey.py",
        "alive = [i for i in instances if i.state in (State.PENDING, State.RUNNING) and",
        "alive = [i for i in instances if i.state is State.RUNNING and",
    ),
    Rule(
        3,
        "Work in flight is demand. Total demand is compared with total supply.",
        "KEDA #1663, #1323: respawns at every poll; Buildkite #7",
        "common/facecore/queues.py",
        "return self.visible + self.in_flight + self.delayed",
        "return self.visible",
    ),
    Rule(
        4,
        "One cap counts every live state, and room is never negative.",
        "terraform-aws-github-runner #5186: over 300 machines at a maximum of 100; #5062",
        f"{CONTROLLER}/policy.py",
        "room = max(0, config.max_instances - fleet.owned)",
        "room = max(0, config.max_instances - fleet.active)",
    ),
    Rule(
        5,
        "`stopping` holds its slot and cannot be started: wait, never launch a sixteenth.",
        "namecheap provider #290",
        f"{CONTROLLER}/survey.py",
        "owned=len(instances)",
        "owned=sum(1 for i in instances if i.state is not State.STOPPING)",
    ),
    Rule(
        6,
        "Level-triggered, never event-counted: a lost event or answer loses no work.",
        "terraform-aws-github-runner #2925, runs-on #543",
        f"{CONTROLLER}/memory.py",
        "launches=tuple(launch for launch in memory.launches if _is_recent(launch.asked_at, now)),",
        "launches=memory.launches,",
    ),
    Rule(
        7,
        "Counts lag and err: go up fast, and a single zero means nothing.",
        "KEDA #7330: deleted messages reappear for up to a minute",
        f"{CONTROLLER}/memory.py",
        "if good is None or good.demand > 0:",
        "if good is None:",
    ),
    Rule(
        8,
        "No capacity in one zone or type does not block the others: that offering is skipped for 3 minutes.",
        "osparc #8273",
        f"{CONTROLLER}/survey.py",
        "offering=next((o for o in config.offerings if o.key not in backed_off), None),",
        "offering=config.offerings[0],",
    ),
    Rule(
        9,
        "A failed start does not lose the instance: state comes from EC2, not from tags or marks.",
        "osparc #7342: tagged before the start failed",
        f"{CONTROLLER}/memory.py",
        "starts={**memory.starts, **dict.fromkeys(outcome.started, now)},",
        "starts={**memory.starts, **dict.fromkeys([*outcome.started, *(f.target for f in outcome.failures)], now)},",
    ),
    Rule(
        10,
        "An image change retires old instances while they are stopped.",
        "osparc #7071, #7063",
        f"{CONTROLLER}/survey.py",
        "return instance.image != observation.image",
        "return False",
    ),
    Rule(
        11,
        "Instances have a maximum lifetime, and what should have stopped itself is reaped.",
        "runs-on #459: over 8,000 orphans, one 38 days old",
        f"{CONTROLLER}/survey.py",
        "return at - instance.created_at > config.max_age_s",
        "return False",
    ),
    Rule(
        12,
        "Boot grace comes before anything is called an orphan.",
        "terraform-aws-github-runner #4391, #3802",
        f"{CONTROLLER}/policy.py",
        "return quiet_s >= enough_s and at - instance.started_at >= enough_s",
        "return quiet_s >= enough_s",
    ),
    Rule(
        13,
        "What the outstanding poll brings is handled before the exit.",
        "Celery #8875: a message received while shutting down stays hidden until its timeout",
        "images/worker/faceworker/lifecycle.py",
        "return Step.HANDLE",
        "return Step.END if stopping else Step.HANDLE",
    ),
    Rule(
        14,
        "The result is written before the message is deleted; a poison message goes to the dead queue.",
        "a message that is never answered costs money for ever",
        "images/worker/faceworker/worker.py",
        "        with self._heartbeat.during(message.receipt):\n",
        "        self._requests.delete([message.receipt])\n        with self._heartbeat.during(message.receipt):\n",
    ),
    Rule(15, "A running instance that takes no work is not capacity."),
    Rule(16, "A `stopping` instance of the current image is startable soon: nothing is bought in that window."),
    Rule(17, "A request has a deadline; work past it is dropped and counted, or an overload feeds itself."),
    Rule(
        18,
        "No capacity is a fact about a type and a zone: the first refusal holds the whole group, and a budget of calls "
        "bounds a tick.",
    ),
    Rule(19, "An instance that dies at birth is backed off, and EC2's reason is logged."),
    Rule(
        20,
        "EC2's tokens are spent for what was attempted; what was only decided costs nothing.",
        "our own: 2 launches a second instead of 1,000",
        f"{CONTROLLER}/loop.py",
        "remember(memory, actions, outcome,",
        "remember(memory, decision.actions, outcome,",
    ),
)


def marked_tests() -> dict[int, list[str]]:
    """The tests that carry `@pytest.mark.rule(n)`, as `file::name` from the repository's root, by n."""
    marked: dict[int, list[str]] = defaultdict(list)
    for file in sorted((ROOT / "tests/unit").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.rule":
                    (number,) = map(ast.literal_eval, decorator.args)
                    marked[number].append(f"{file.relative_to(ROOT)}::{node.name}")
    return dict(marked)


def table(marked: dict[int, list[str]]) -> str:
    """The table of the page."""
    rows = (
        f"| {rule.number} | {rule.text} | {rule.learned_from} | {_tests(marked.get(rule.number, []))} |\n"
        if rule.file
        else f"| {rule.number} | {rule.text} | {rule.learned_from} | {NOT_BUILT} |\n"
        for rule in RULES
    )
    return HEAD + "".join(rows)


def _tests(names: list[str]) -> str:
    return ", ".join(f"`{name.removeprefix('tests/unit/')}`" for name in names)


def main() -> int:
    """Writes the table; returns 1 if a rule can be removed and one of its own tests passes without it."""
    marked = marked_tests()
    built = [rule for rule in RULES if rule.file]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in tracked.stdout.splitlines():
            if (ROOT / name).is_file() and not name.startswith("tests/faces"):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / name)
        broken = _failing(copy, [test for tests in marked.values() for test in tests])
        unnoticed = {rule.number: _passing(copy, rule, marked) for rule in tqdm(built, unit=" rules", disable=None)}
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + BEGIN + table(marked) + END + rest.partition(END)[2], encoding="utf-8")
    print(f"wrote {PAGE.name}")
    problems = [f"{test} fails with every rule in place" for test in sorted(broken)]
    problems += [f"rule {number}: {test} passes without it" for number, tests in unnoticed.items() for test in tests]
    print("\n".join(problems) or f"all {len(built)} rules are noticed by their own tests")
    return 1 if problems else 0


def _passing(copy: Path, rule: Rule, marked: dict[int, list[str]]) -> list[str]:
    """The rule's own tests that pass without it; "no test" if it has none."""
    tests = marked.get(rule.number, [])
    file = copy / rule.file
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(rule.find, rule.replace), encoding="utf-8")
    failing = _failing(copy, tests) if tests else set()
    file.write_text(text, encoding="utf-8")
    return [test for test in tests if test not in failing] or ([] if tests else ["no test"])


def _failing(copy: Path, tests: list[str]) -> set[str]:
    paths = os.pathsep.join(str(copy / part) for part in SOURCES.split(":"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
    ended = subprocess.run(
        command, cwd=copy, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    # 0: all passed, 1: some failed. Anything else, such as a test that does not exist, is no verdict.
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"pytest cannot run {tests}:\n{ended.stdout}{ended.stderr}")
    return set(re.findall(r"^FAILED (\S+?)(?:\[| - |$)", ended.stdout, re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main())
