"""The house style that no linter knows, as one table of rules.

Each rule reads one file and yields what is wrong with it. Each carries a sample that breaks it, so
that a rule which catches nothing fails by itself.
"""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.own_tests import PACKAGES, ROOT, TESTED_BY
from tests.thorough import first_of
from tests.trees import parsed, tree_of

TOP_LEVEL = (
    *PACKAGES,
    "tests",
    "benchmarks",
    "web",
    "docs",
    "deploy",
    "requirements",
    ".ci",
    "client",
)
NOT_OURS = {"node_modules", "__pycache__", "static", "dist", "build"}
SUFFIXES = {
    ".py",
    ".pyi",
    ".lua",
    ".sql",
    ".c",
    ".ts",
    ".mjs",
    ".js",
    ".html",
    ".css",
    ".md",
    ".txt",
    ".toml",
    ".yaml",
    ".yml",
    ".json",
    ".sh",
    ".conf",
    ".cfg",
    ".csv",
    "",
}

BANNED_MODULES = {"utils", "helpers", "common", "base", "types", "manager", "misc"}

# Modules that hold declarations only, and so nothing that could be wrong by itself.
NOTHING_TO_TEST = {
    "accounts.ceremony",
    "accounts.notice",
    "accounts.ports",
    "gateway.ports",
}


@dataclass(frozen=True)
class Source:
    """One file of the project."""

    path: str
    """Relative to the root, with forward slashes."""
    text: str

    @property
    def tree(self) -> ast.Module:
        """The syntax tree of a Python file."""
        return parsed(self.text)

    @property
    def stem(self) -> str:
        """The file's name without folders and suffix."""
        return Path(self.path).stem

    @property
    def module(self) -> str:
        """The dotted name a Python file is imported by."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


# -- what a file can get wrong -------------------------------------------------------------------


def has_docstring(source: Source) -> Iterator[str]:
    """Every module says what it is and what it must not know."""
    if source.path.startswith("tests/") and not source.text:
        return
    if not ast.get_docstring(source.tree):
        yield "the module has no docstring"


def has_telling_name(source: Source) -> Iterator[str]:
    """A module is named after what it holds, not after being useful."""
    if source.stem in BANNED_MODULES or Path(source.path).parent.name in BANNED_MODULES:
        yield "a name that says nothing about what is inside"


def is_finished(source: Source) -> Iterator[str]:
    """Plans live in docs/design, not in the code."""
    # "XXX" in quotes is ISO 4217's code for no currency.
    notes = r"\b(TO" r"DO|FIX" r"ME)\b|(?<!\")\bXX" r"X\b"
    yield from _lines_with(source, notes, "an unfinished note")


def reads_no_environment(source: Source) -> Iterator[str]:
    """Only the command line reads the environment; everything else is given Settings."""
    if source.path.startswith(("gateway/__main__.py", "gateway/cli/")):
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Attribute | ast.ImportFrom):
            continue
        names = (
            {node.attr} if isinstance(node, ast.Attribute) else {alias.name for alias in node.names}
        )
        if names & {"environ", "environb", "getenv", "getenvb", "putenv"}:
            yield f"{node.lineno}: reads the environment"


def stands_alone(source: Source) -> Iterator[str]:
    """Nothing refers to one machine, or to papers that are not in the repository."""
    folders = r"(?<![\w.@/-])/(work|root|home|Users)/"
    papers = r"\bshared/(docs|prototypes|data)\b|\b(MONEY|MEDIA|TWILIO|FEATURES|STYLE) [A-Z]?\d"
    yield from _lines_with(source, folders, "a path of one machine")
    yield from _lines_with(source, papers, "a paper that is not here")


def names_documents_that_exist(source: Source) -> Iterator[str]:
    """A document that is mentioned can be opened."""
    for number, line in _numbered(source):
        for name in re.findall(r"\b[A-Z]{3,}\.md\b", line):
            if not any((ROOT / folder / name).exists() for folder in ("", "docs", "web")):
                yield f"{number}: {name} does not exist"


def holds_no_address(source: Source) -> Iterator[str]:
    """A lock file pins by hash; where packages come from is the reader's own choice."""
    yield from _lines_with(source, r"://|--(index|extra-index|find-links)", "an address")


def holds_no_resolved_address(source: Source) -> Iterator[str]:
    """Npm's lock file carries integrity hashes and no registry."""
    yield from _lines_with(source, r'"resolved"', "an address")


def has_test(source: Source) -> Iterator[str]:
    """Every module is imported by a test module, or has one of its own name."""
    code = [node for node in source.tree.body if not isinstance(node, ast.Expr | ast.ImportFrom)]
    if source.module in NOTHING_TO_TEST or (source.stem == "__init__" and not code):
        return
    package, _, name = source.module.rpartition(".")
    if source.module in TESTED_BY:
        for test in TESTED_BY[source.module]:
            if not (ROOT / test).exists():
                yield f"{test} does not exist"
    elif not {source.module, f"{package}:{name}", f"test_{name}"} & names_in_tests():
        yield "no test imports it, and none is named after it"


def raises_errors(source: Source) -> Iterator[str]:
    """An exception is known by its name."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and not node.name.endswith("Error"):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if any(base.endswith(("Error", "Exception", "Warning")) for base in bases):
                yield f"{node.lineno}: {node.name} does not end in Error"


def writes_items_out(source: Source) -> Iterator[str]:
    """A literal behind a star only packs lines: its items stand by themselves."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Starred(ast.Tuple([_, *_]) | ast.List([_, *_])):
                yield f"{node.lineno}: a literal behind a star"


def _numbered(source: Source) -> Iterator[tuple[int, str]]:
    return enumerate(source.text.splitlines(), start=1)


def _lines_with(source: Source, pattern: str, meaning: str) -> Iterator[str]:
    for number, line in _numbered(source):
        if found := re.search(pattern, line):
            yield f"{number}: {meaning}: {found.group().strip()}"


# -- which files obey which rule -----------------------------------------------------------------


def in_packages(path: str) -> bool:
    """Python that is shipped."""
    return path.endswith(".py") and path.startswith(tuple(f"{name}/" for name in PACKAGES))


def is_program(path: str) -> bool:
    """Code that is read and changed: not tests, not data."""
    is_code = path.endswith((".py", ".ts", ".mjs"))
    return is_code and not path.startswith("tests/")


def is_python(path: str) -> bool:
    """Any Python, tests too."""
    return path.endswith(".py")


def is_testable(path: str) -> bool:
    """Modules that a test can import: a migration is run, never imported."""
    return in_packages(path) and "/migrations/" not in path


def is_text(path: str) -> bool:
    """Whatever a person reads; locks and licences are not ours to word."""
    return not is_lock(path) and not is_npm_lock(path)


def is_lock(path: str) -> bool:
    """pip's lock files."""
    return re.fullmatch(r"requirements/\w+\.txt", path) is not None


def is_npm_lock(path: str) -> bool:
    """npm's lock files."""
    return path.endswith("package-lock.json")


Rule = Callable[[Source], Iterator[str]]

RULES: list[tuple[Rule, Callable[[str], bool], Source]] = [
    (has_docstring, is_python, Source("media/a.py", "import math\n")),
    (has_telling_name, is_program, Source("media/utils.py", "")),
    (is_finished, is_text, Source("web/src/a.ts", "// TO" + "DO: later")),
    (reads_no_environment, in_packages, Source("media/a.py", "import os\nos.environ['A']")),
    (reads_no_environment, in_packages, Source("gateway/a.py", "from os import getenv")),
    (stands_alone, is_text, Source("docs/a.md", "see /" + "work/main")),
    (stands_alone, is_text, Source("media/a.py", "# as MEDIA" + " M6 says")),
    (names_documents_that_exist, is_text, Source("docs/a.md", "see NOWHERE" + ".md")),
    (holds_no_address, is_lock, Source("requirements/a.txt", "--index-url https://pypi.org")),
    (holds_no_resolved_address, is_npm_lock, Source("package-lock.json", '"resolved": "https:"')),
    (has_test, is_testable, Source("media/untested_by_anyone.py", "A = 1")),
    (raises_errors, in_packages, Source("media/a.py", "class Oops(ValueError): ...")),
    (writes_items_out, is_python, Source("media/a.py", "print(*('a', 'b'), 'c')")),
]


def project_files() -> Iterator[Path]:
    """Walk what belongs to the project, git or no git."""
    yield from (path for path in ROOT.iterdir() if path.is_file())
    for name in TOP_LEVEL:
        for folder, below, files in os.walk(ROOT / name):
            below[:] = [child for child in below if child not in NOT_OURS]
            # A link to what npm has not installed yet is found among the files.
            yield from (Path(folder) / file for file in files if file not in NOT_OURS)


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    """Every text file of the project."""
    paths = sorted(path for path in project_files() if path.suffix in SUFFIXES)
    return [
        Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8", errors="replace"))
        for path in paths
        if path.name != "LICENSE"
    ]


_names_in_tests: set[str] = set()


def names_in_tests() -> set[str]:
    """Return what test files import (`pkg.module`, `pkg:name`) and what they are called."""
    if not _names_in_tests:
        for path in (ROOT / "tests").rglob("*.py"):
            _names_in_tests.add(path.stem)
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.Import):
                    _names_in_tests.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    _names_in_tests.add(node.module)
                    _names_in_tests.update(f"{node.module}:{a.name}" for a in node.names)
    return _names_in_tests


@pytest.mark.parametrize("rule", list(dict.fromkeys(rule for rule, _, _ in RULES)))
def test_house_obeys(rule: Rule, sources: list[Source]) -> None:
    applies = next(scope for other, scope, _ in RULES if other is rule)
    wrong = [
        f"{source.path}:{fault}"
        for source in sources
        if applies(source.path)
        for fault in rule(source)
    ]
    if wrong:
        pytest.fail("\n".join([str(rule.__doc__), *wrong]), pytrace=False)


@pytest.mark.parametrize(("rule", "applies", "sample"), RULES)
def test_rule_catches(rule: Rule, applies: Callable[[str], bool], sample: Source) -> None:
    assert list(rule(sample))


# -- what several files must agree on ------------------------------------------------------------


def pins(name: str) -> set[str]:
    """Return the `name==version ; marker` lines of a lock file."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    return {line.rstrip(" \\") for line in text.splitlines() if re.match(r"\w", line)}


def test_development_locks_the_same_versions_as_production() -> None:
    assert pins("run") - pins("dev") == set()


def test_each_direct_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = itertools.chain.from_iterable(project["dependency-groups"].values())
    requirements = [
        *project["project"]["dependencies"],
        *(each for each in groups if isinstance(each, str)),
        *project["build-system"]["requires"],
    ]
    declared = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in requirements}
    table = (ROOT / "docs/design/dependencies.md").read_text("utf-8").partition("## Browser")[0]
    assert set(re.findall(r"^\| `([\w.-]+)", table, re.MULTILINE)) == declared


SKIPPING = """
import pytest

def test_needs_a_server():
    pytest.skip({reason!r})
"""


@pytest.mark.parametrize(
    ("ci", "reason", "exit_code"),
    first_of([("1", "no server", 1), ("", "no server", 0), ("1", "platform: Linux only", 0)]),
)
def test_nothing_is_skipped_in_silence_under_ci(
    tmp_path: Path, ci: str, reason: str, exit_code: int
) -> None:
    (tmp_path / "conftest.py").write_bytes((ROOT / "tests/conftest.py").read_bytes())
    (tmp_path / "test_sample.py").write_text(SKIPPING.format(reason=reason))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {**os.environ, "CI": ci, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode == exit_code, done.stdout.decode()
