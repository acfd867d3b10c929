"""Counts what the house style limits and writes the table into docs/structure.md: `python tools/structure.py [--list]`.

A private function used once: its name begins with one underscore, and its module refers to that name one time.
Lines of a function: from `def` to its last line, without decorators and docstring. `--list` names the private
functions used once.
"""

import ast
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
SHIPPED = ("common", "images", "controller", "local", "deploy")
PAGE = ROOT / "docs/structure.md"
BEGIN, END = "<!-- table: written by tools/structure.py -->\n", "<!-- end of table -->\n"
MAX_USED_ONCE = 0.15
MAX_MEDIAN_LINES, MAX_FUNCTION_LINES, MAX_FILE_LINES, MAX_MODULES = 10, 50, 300, 110

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of shipped code."""

    path: str
    lines: int
    comments: int
    function_lines: dict[str, int]
    """Lines by the function's name and first line."""
    used_once: list[str]
    """Private functions that the module refers to one time."""


def measured(path: str) -> Module:
    """The figures of one file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    references = Counter(
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    )
    private = [f for f in functions if f.name.startswith("_") and not f.name.startswith("__")]
    return Module(
        path=path,
        lines=text.count("\n"),
        comments=sum(line.lstrip().startswith("#") for line in text.splitlines()),
        function_lines={f"{f.name}:{f.lineno}": _lines(f) for f in functions},
        used_once=[f.name for f in private if references[f.name] == 1],
    )


def _lines(function: Function) -> int:
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    lines = (function.end_lineno or 0) - function.lineno + 1
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)


def shipped() -> list[Module]:
    """All files of shipped code that git knows or does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *(f"{d}/*.py" for d in SHIPPED)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [measured(path) for path in sorted(found) if (ROOT / path).is_file()]


def table(modules: list[Module]) -> str:
    """A row for each part, and one for all with the limits."""
    rows = [
        "| part | modules | largest file | functions | median lines | longest | private, used once | comments per 100 |"
    ]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    parts = {part: [m for m in modules if m.path.startswith(f"{part}/")] for part in _parts(modules)}
    rows += [_row(part, found) for part, found in parts.items()]
    rows.append(_row("all", modules))
    rows.append(
        f"| limit | {MAX_MODULES} | {MAX_FILE_LINES} | | {MAX_MEDIAN_LINES} | {MAX_FUNCTION_LINES} | "
        f"{MAX_USED_ONCE:.0%} | |"
    )
    return "\n".join(rows) + "\n"


def _parts(modules: list[Module]) -> list[str]:
    return sorted({"/".join(m.path.split("/")[: 2 if m.path.startswith("images") else 1]) for m in modules})


def _row(part: str, modules: list[Module]) -> str:
    lines = [n for m in modules for n in m.function_lines.values()] or [0]
    once = sum(len(m.used_once) for m in modules)
    comments = 100 * sum(m.comments for m in modules) / (sum(m.lines for m in modules) or 1)
    figures = (
        part,
        len(modules),
        max(m.lines for m in modules),
        len(lines),
        f"{median(lines):g}",
        max(lines),
        f"{once} ({once / len(lines):.0%})",
        f"{comments:.1f}",
    )
    return f"| {' | '.join(map(str, figures))} |"


def excesses(modules: list[Module]) -> list[str]:
    """What is over a limit, a sentence each."""
    lines = {f"{m.path} {name}": n for m in modules for name, n in m.function_lines.items()}
    once = sum(len(m.used_once) for m in modules)
    found = [f"{m.path} has {m.lines} lines" for m in modules if m.lines > MAX_FILE_LINES]
    found += [f"{name} has {n} lines" for name, n in lines.items() if n > MAX_FUNCTION_LINES]
    if len(modules) > MAX_MODULES:
        found.append(f"there are {len(modules)} modules")
    if median(lines.values()) > MAX_MEDIAN_LINES:
        found.append(f"the median function has {median(lines.values())} lines")
    if once > MAX_USED_ONCE * len(lines):
        found.append(f"{once} of {len(lines)} functions are private and used once")
    return found


def main(arguments: list[str]) -> int:
    """Writes the table; exit status 1 where a limit is passed."""
    modules = shipped()
    if "--list" in arguments:
        for module in modules:
            for name in module.used_once:
                print(f"{module.path}: {name}")
    if PAGE.is_file():
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(before + BEGIN + table(modules) + END + rest.partition(END)[2], encoding="utf-8")
    print(table(modules), end="")
    for excess in excesses(modules):
        print(excess)
    return 1 if excesses(modules) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
