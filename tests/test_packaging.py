"""The built wheel and sdist hold what the folders hold, under one unique name."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("cli", "engine", "schemas", "sql")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "mismartera", *FOLDERS)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def shipped_files():
    """Return what users need of each folder, as paths below the repository."""
    found = {Path("mismartera") / name for name in ("__init__.py", "__main__.py", "py.typed")}
    for folder in FOLDERS:
        for pattern in ("*.py", "*.sql"):
            found.update(path.relative_to(ROOT) for path in (ROOT / folder).rglob(pattern))
    return {path for path in found if "__pycache__" not in path.parts}


def installed_name(path):
    return path.as_posix() if path.parts[0] == "mismartera" else f"mismartera/{path.as_posix()}"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build an sdist from a copy of the sources, and a wheel from the sdist; return both."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    # PEP 639 licences need setuptools 77; where the environment's is older, build fetches one of its own.
    isolation = [] if int(importlib.metadata.version("setuptools").split(".")[0]) < 77 else ["--no-isolation"]
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), *isolation, str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def test_the_wheel_holds_every_module_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {installed_name(path) for path in shipped_files()}


def test_the_sdist_holds_every_module(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {path.as_posix() for path in shipped_files()} | {"pyproject.toml", "README.md", "LICENSE"} <= names


def test_the_wheel_says_what_it_is(built):
    with zipfile.ZipFile(built[1]) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        text = wheel.read(metadata).decode()
        commands = wheel.read(entry_points).decode()
        assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    assert f"Version: {PROJECT['project']['version']}\n" in text
    assert "License-Expression: Apache-2.0\n" in text
    assert "mismartera = mismartera.cli.main:main" in commands


def test_packages_lists_every_folder_with_code():
    holding = {path.parent for path in shipped_files() if path.suffix == ".py" and path.parts[0] != "mismartera"}
    expected = {"mismartera"} | {f"mismartera.{'.'.join(folder.parts)}" for folder in holding}
    setuptools = PROJECT["tool"]["setuptools"]
    assert set(setuptools["packages"]) == expected
    assert set(setuptools["package-dir"]) == expected
    for package, folder in setuptools["package-dir"].items():
        assert folder == (package.removeprefix("mismartera.").replace(".", "/"))


def test_every_folder_with_code_is_a_package_with_a_docstring():
    for folder in {path.parent for path in shipped_files() if path.suffix == ".py"}:
        assert (ROOT / folder / "__init__.py").read_text(encoding="utf-8").startswith('"""'), folder


def test_links_for_type_checkers_are_relative():
    for folder in FOLDERS:
        assert (ROOT / "mismartera" / folder).readlink() == Path("..") / folder


def test_no_module_is_imported_under_a_bare_name():
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'cli', 'engine', 'schemas', 'sql'}))"
    )
    paths = [path.with_suffix("") for path in shipped_files() if path.suffix == ".py" and path.stem != "__main__"]
    modules = [installed_name(path).replace("/", ".").removesuffix(".__init__") for path in paths]
    done = subprocess.run([sys.executable, "-c", code, *sorted(modules)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
