"""Who may import what, print and start threads: found in the syntax tree, so a comment trips nothing."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("cli", "engine", "mismartera", "schemas", "sql")
    for path in (ROOT / folder).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)
STARTERS = {"Thread", "Timer", "start_new_thread", "ThreadPoolExecutor", "ProcessPoolExecutor", "Process", "Popen"}
RULES = {
    "import duckdb": ("sql/",),
    "import click": ("cli/",),
    "import rich": ("cli/",),
    "print": ("cli/",),
    "start a thread": ("engine/threads/", "engine/system/", "cli/interruptible.py"),
}


def deeds(source):
    """Return which of the restricted things a module does, each with its line."""
    tree = ast.parse(source)
    names = _imported(tree)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from ((f"import {alias.name.partition('.')[0]}", line) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield f"import {node.module.partition('.')[0]}", line
        elif isinstance(node, ast.Attribute):
            if node.attr in STARTERS:
                yield "start a thread", line
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if node.id == "print":
                yield "print", line
            if names.get(node.id) in STARTERS:
                yield "start a thread", line


def _imported(tree):
    """Return the names imported from modules, and what each is called there."""
    found = [node.names for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: alias.name for names in found for alias in names}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import duckdb", {"import duckdb"}),
        ("def f():\n  from rich.table import Table", {"import rich"}),
        ("import click.types as t", {"import click"}),
        ("print('x')", {"print"}),
        ("# print(1)\n'''print(1)'''\nconsole.print(1)", set()),
        ("import threading\nthreading.Thread(target=f).start()", {"start a thread"}),
        ("from threading import Thread as T\nclass A(T): ...", {"start a thread"}),
        ("from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor()", {"start a thread"}),
        ("import threading\nthreading.Lock()", set()),
    ],
)
def test_the_judge_itself(source, found):
    assert {deed for deed, _ in deeds(source)} & RULES.keys() == found


@pytest.mark.parametrize("file", FILES)
def test_each_module_does_what_its_folder_may(file):
    done = deeds((ROOT / file).read_text(encoding="utf-8"))
    wrong = [
        f"{file}:{line}: only {' and '.join(RULES[deed])} may {deed}"
        for deed, line in done
        if deed in RULES and not file.startswith(RULES[deed])
    ]
    assert wrong == []


def test_arrows_only_point_down():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _imports() -> dict[str, set[str]]:
    """Which files of the package each one imports, wherever in it: within functions and for types alone, too."""
    modules = {".".join(("mismartera", *Path(file).with_suffix("").parts)): ROOT / file for file in FILES}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                package = module.rpartition(".")[0] if node.level else ""
                source = ".".join(filter(None, (package, node.module)))
                names = {source, *(f"{source}.{alias.name}" for alias in node.names)}
                found[module] |= names & modules.keys()
    return found


def test_no_two_files_import_each_other_in_a_circle() -> None:
    graph = {module: [*imported] for module, imported in _imports().items()}
    assert len(graph) > 100
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(graph)  # CycleError names the circle
