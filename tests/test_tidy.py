"""The code's own rules, checked on the code: sizes, mirrored tests, exceptions that are raised, paths that exist.

The limits stand here and nowhere else. They may only be tightened.
"""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FILE_LINES = 500
FUNCTION_LINES = 70
PARAMETERS = 7

# Folders whose modules are declarations only and are tested as one, against Kafka's own definitions.
TESTED_TOGETHER = {
    "moldau/core/protocol/messages": "tests/core/protocol/test_messages.py",
    "moldau/core/protocol/stored": "tests/core/protocol/test_stored.py",
}

MARKERS_OF_UNFINISHED_WORK = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
SOURCES = ("moldau", "bench", "tests", "tools", "examples")


def files(*suffixes: str) -> list[Path]:
    """The files git knows or would take, by suffix."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return sorted({path for path in paths if path.suffix in suffixes and path.exists()})


def python_files(*folders: str) -> list[Path]:
    return [path for path in files(".py") if path.relative_to(ROOT).parts[0] in folders]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_file_is_longer_than_the_limit() -> None:
    lengths = {short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*SOURCES)}
    assert {name: length for name, length in lengths.items() if length > FILE_LINES} == {}


def test_no_function_is_longer_than_the_limit() -> None:
    long = {
        f"{short(path)}:{node.name}": length
        for path in python_files(*SOURCES)
        for node in functions(tree(path))
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}


def test_no_function_takes_more_parameters_than_the_limit() -> None:
    many = {
        f"{short(path)}:{node.name}": count
        for path in python_files(*SOURCES)
        for node in functions(tree(path))
        if (count := parameters(node)) > PARAMETERS
    }
    assert many == {}


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The parameters a caller thinks about: self and cls are none."""
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in every)


def test_every_module_starts_with_a_docstring() -> None:
    assert [short(path) for path in python_files(*SOURCES) if ast.get_docstring(tree(path)) is None] == []


def test_every_module_has_its_test_file() -> None:
    without = [short(path) for path in python_files("moldau") if not has_test(path)]
    assert without == []


def has_test(path: Path) -> bool:
    relative = path.relative_to(ROOT / "moldau")
    if relative.name in ("__init__.py", "__main__.py"):
        return True
    together = TESTED_TOGETHER.get(short(path.parent))
    if together is not None:
        return (ROOT / together).exists()
    return (ROOT / "tests" / relative.parent / f"test_{relative.name}").exists()


def test_no_bare_except() -> None:
    bare = [
        f"{short(path)}:{node.lineno}"
        for path in python_files(*SOURCES)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert bare == []


@cache
def exception_names() -> frozenset[str]:
    """Every exception class of Python and of ours, by name."""
    names = {
        name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
    }
    classes = [
        node for path in python_files(*SOURCES) for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)
    ]
    while True:
        more = {node.name for node in classes if any(called(base) in names for base in node.bases)} - names
        if not more:
            return frozenset(names)
        names |= more


def called(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def unraised(module: ast.Module, names: frozenset[str]) -> list[int]:
    """Lines where an exception is built as a statement of its own: somebody forgot `raise`."""
    return [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and called(node.value.func) in names
    ]


def test_no_exception_is_built_but_not_raised() -> None:
    found = [
        f"{short(path)}:{line}" for path in python_files(*SOURCES) for line in unraised(tree(path), exception_names())
    ]
    assert found == []


def test_the_check_for_unraised_exceptions_sees_one() -> None:
    assert unraised(
        ast.parse("def f():\n    ValueError('no raise')\n    raise ValueError('raised')\n"), exception_names()
    ) == [2]


def test_nothing_is_marked_as_unfinished() -> None:
    found = [
        f"{short(path)}:{number}"
        for path in files(".py", ".c", ".h", ".md", ".toml", ".sh")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MARKERS_OF_UNFINISHED_WORK.search(line) or (path.suffix == ".py" and "NotImplemented" + "Error" in line)
    ]
    assert found == []


# In backticks, with a slash and a known ending, or a folder of ours; or the target of a link.
PATH_IN_TEXT = re.compile(
    r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|toml|c|h|sh|xml|txt|json)|(?:moldau|tests|bench|docs|tools|deploy|examples)/[\w./-]*)`"
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# Written by a run, not kept in git.
MADE_BY_RUNS = {"bench/results.json", "docs/results/"}


def dead_paths(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if "://" not in link and not link.startswith("mailto:")]
    named = [name for name in PATH_IN_TEXT.findall(text) if name not in MADE_BY_RUNS]
    dead = [link for link in links if not (page.parent / link).exists()]
    return dead + [name for name in named if not ((ROOT / name).exists() or (page.parent / name).exists())]


def test_paths_named_in_the_docs_exist() -> None:
    dead = {short(page): gone for page in files(".md") if (gone := dead_paths(page))}
    assert dead == {}


def test_every_part_of_the_package_has_its_place_in_the_layer_contract() -> None:
    """import-linter passes over a package that no contract names."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = " ".join(next(contract for contract in contracts if contract["id"] == "layers")["layers"])
    named = set(re.findall(r"[\w.]+", layers))
    packages = {
        short(folder).replace("/", ".")
        for parent in (ROOT / "moldau", ROOT / "moldau" / "core")
        for folder in parent.iterdir()
        if (folder / "__init__.py").exists() and folder.name != "core"
    }
    assert packages - named == set()
    above = {f"moldau.{name}" for name in ("client", "console", "connect", "streams", "eventstore", "registry")}
    wire_only = next(contract for contract in contracts if contract["id"] == "wire-only")
    assert (packages & above) - set(wire_only["source_modules"]) == set()
