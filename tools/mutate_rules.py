"""Removes the rules one by one and writes which test fails into docs/elasticity.md: `make mutate-rules`."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/elasticity.md"
BEGIN, END = "<!-- rules: written by make mutate-rules -->\n", "<!-- end of rules -->\n"
SOURCES = "common:images/web:images/worker:controller:local:tests"
CONTROLLER = ("tests/unit/controller", "--ignore=tests/unit/controller/test_worlds.py")
WORKER = ("tests/unit/worker/test_worker.py",)
POLICY = "controller/facecontroller/policy.py"
MEMORY = "controller/facecontroller/memory.py"


@dataclass(frozen=True)
class Rule:
    """A rule, and the change of one place of the source that removes it."""

    number: int
    text: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...] = CONTROLLER


RULES = (
    Rule(
        1,
        "Never stop on one reading of an empty queue; the worker decides",
        POLICY,
        "return quiet_s >= enough_s and",
        "return observation.demand == 0 and",
    ),
    Rule(
        2,
        "A booting instance is capacity",
        POLICY,
        "alive = [i for i in instances if i.state in (State.PENDING, State.RUNNING) and",
        "alive = [i for i in instances if i.state is State.RUNNING and",
    ),
    Rule(
        3,
        "Work in flight is demand",
        "common/facecore/queues.py",
        "return self.visible + self.in_flight + self.delayed",
        "return self.visible",
    ),
    Rule(
        4,
        "One cap that counts every live state",
        POLICY,
        "room = max(0, config.max_instances - fleet.owned)",
        "room = max(0, config.max_instances - fleet.active)",
    ),
    Rule(
        5,
        "`stopping` holds its slot",
        POLICY,
        "owned=len(instances) + hidden",
        "owned=sum(1 for i in instances if i.state is not State.STOPPING) + hidden",
    ),
    Rule(
        6,
        "Level-triggered: a lost event loses no work",
        MEMORY,
        "launches=tuple(launch for launch in memory.launches if _is_recent(launch.asked_at, now)),",
        "launches=memory.launches,",
    ),
    Rule(
        7,
        "Counts err: a single zero means nothing",
        MEMORY,
        "if observation is None or is_old(observation, now) or observation.demand > 0:",
        "if observation is None or is_old(observation, now):",
    ),
    Rule(
        8,
        "No capacity in one place does not block the others",
        POLICY,
        "offering=next((o for o in config.offerings if o.key not in backed_off), None),",
        "offering=config.offerings[0],",
    ),
    Rule(
        9,
        "A failed start does not lose the instance",
        MEMORY,
        "starts={**memory.starts, **dict.fromkeys(outcome.started, now)},",
        "starts={**memory.starts, **dict.fromkeys([*outcome.started, *(f.target for f in outcome.failures)], now)},",
    ),
    Rule(
        10,
        "An image change retires old instances while they are stopped",
        POLICY,
        "return instance.image != observation.image",
        "return False",
    ),
    Rule(
        11,
        "A maximum lifetime, and marks that expire",
        POLICY,
        "return observation.taken_at - instance.created_at > config.max_age_s",
        "return False",
    ),
    Rule(
        12,
        "Boot grace before anything is called an orphan",
        POLICY,
        "return quiet_s >= enough_s and observation.taken_at - instance.started_at >= enough_s",
        "return quiet_s >= enough_s",
    ),
    Rule(
        13,
        "What the outstanding poll brings is handled before the exit",
        "images/worker/faceworker/lifecycle.py",
        "return Step.HANDLE",
        "return Step.END if stopping else Step.HANDLE",
        WORKER,
    ),
    Rule(
        14,
        "The result is written before the message is deleted",
        "images/worker/faceworker/worker.py",
        "        with self._heartbeat.during(message.receipt):\n",
        "        self._requests.delete([message.receipt])\n        with self._heartbeat.during(message.receipt):\n",
        WORKER,
    ),
)


def main() -> int:
    """Writes the table; returns 1 where a rule can be removed and no test notices."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in tracked.stdout.splitlines():
            if (ROOT / name).is_file() and not name.startswith("tests/faces"):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / name)
        failing = {rule: _failing_test(copy, rule) for rule in tqdm(RULES, unit=" rules", disable=None)}
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + BEGIN + table(failing) + END + rest.partition(END)[2], encoding="utf-8")
    unnoticed = [rule.number for rule, test in failing.items() if not test]
    print(f"wrote {PAGE.name}; rules that no test notices: {unnoticed or 'none'}")
    return 1 if unnoticed else 0


def table(failing: dict[Rule, str]) -> str:
    """The table of the page."""
    rows = [f"| {rule.number} | {rule.text} | `{failing[rule] or 'none'}` |\n" for rule in failing]
    return "| rule | what it says | the test that fails without it |\n| --- | --- | --- |\n" + "".join(rows)


def _failing_test(copy: Path, rule: Rule) -> str:
    file = copy / rule.file
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(rule.find, rule.replace), encoding="utf-8")
    paths = os.pathsep.join(str(copy / part) for part in SOURCES.split(":"))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *rule.tests]
    ended = subprocess.run(
        command, cwd=copy, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    file.write_text(text, encoding="utf-8")
    found = re.search(r"^FAILED (\S+?)(?:\[| - |$)", ended.stdout, re.MULTILINE)
    return found[1].removeprefix("tests/unit/") if found else ""


if __name__ == "__main__":
    sys.exit(main())
