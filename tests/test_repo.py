"""The repository keeps its own promises: names, sizes, rules with tests, and nothing of the machine."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import posterngate
from posterngate.spec.thresholds import load_manifest, profile_names

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MODULES = sorted(found.name for found in pkgutil.walk_packages(posterngate.__path__, "posterngate."))
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "manager", "handler", "core"}
LONGEST_FUNCTION, LONGEST_MODULE = 60, 600
MEGABYTE = 1e6
MACHINE = re.compile("|".join(["/" + "work/", "/" + "root/", "/" + "tmp/"]))
REGISTRIES = re.compile("|".join(["py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(?:org|com)"]))


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git tracks, or would add."""
    words = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        *patterns,
    ]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def loads_torch(name: str) -> bool:
    """True for the modules that import torch, directly or through a neighbour: slow to import here."""
    return name.startswith(("posterngate.endpoints.host.", "posterngate.train."))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", [name for name in MODULES if not loads_torch(name)])
def test_everything_in_all_is_there(name: str) -> None:
    """A name in `__all__` that the module lacks would break `import *` and mislead readers."""
    if name.endswith("__main__"):
        pytest.skip("importing it would run it")
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", [])
    assert [item for item in listed if not hasattr(module, item)] == []
    assert list(listed) == list(dict.fromkeys(listed))


def parsed() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_modules_with_torch_list_real_names_too() -> None:
    """The same of the modules that need torch, read from their text."""
    for path, tree in parsed():
        if not loads_torch(".".join(path.relative_to(ROOT / "src").with_suffix("").parts)):
            continue
        listed = [
            node for node in tree.body if isinstance(node, ast.Assign) and _targets(node) == ["__all__"]
        ]
        names = {name for node in tree.body for name in _defined(node)}
        for node in listed:
            assert set(ast.literal_eval(node.value)) <= names, relative(path)


def _targets(node: ast.Assign) -> list[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign):
        return _targets(node)
    if isinstance(node, ast.If):
        return [name for inner in node.body for name in _defined(inner)]
    return [node.target.id] if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else []


def test_every_module_says_what_it_is() -> None:
    """A docstring on each module that has any code."""
    silent = [relative(path) for path, tree in parsed() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_no_module_or_class_has_a_name_that_means_nothing() -> None:
    """utils and its like say where code was put, not what it does."""
    modules = [relative(path) for path in SOURCES if {path.stem, path.parent.name} & FORBIDDEN_NAMES]
    classes = [
        f"{relative(path)}: {node.name}"
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.lower() in FORBIDDEN_NAMES
    ]
    assert modules + classes == []


def test_functions_and_modules_stay_short() -> None:
    """No function over 60 lines, no module over 600."""
    long_functions = [
        f"{relative(path)}: {node.name}"
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    ]
    long_modules = [relative(p) for p in SOURCES if len(p.read_text().splitlines()) > LONGEST_MODULE]
    assert long_functions + long_modules == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    """What is tracked speaks of the project alone: no paths of a machine, no package hosts."""
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), 1)
        found += [f"{relative(path)}:{n}" for n, s in lines if MACHINE.search(s) or REGISTRIES.search(s)]
    assert found == []


def measured_rules() -> Counter[str]:
    """Count the tests of safety_tests by the rule on their marker."""
    rules: Counter[str] = Counter()
    for path in sorted((ROOT / "safety_tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                rules.update(_rule_of(node))
    return rules


def _rule_of(node: ast.FunctionDef) -> list[str]:
    return [
        str(ast.literal_eval(mark.args[0]))
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.gate_rule"
    ]


def test_every_rule_has_exactly_one_test_and_every_test_a_rule() -> None:
    """A rule without a test is measured by nobody; one with two spends its error budget twice."""
    path = ROOT / "thresholds.yaml"
    declared = load_manifest(path, profile_names(path)[0]).declared
    assert measured_rules() == Counter(declared)


def test_every_profile_can_be_read() -> None:
    """No profile of the policy is broken, and each names a rule at least."""
    path = ROOT / "thresholds.yaml"
    for profile in profile_names(path):
        assert load_manifest(path, profile).populations, profile


def docs_checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_docs", ROOT / "docs/check_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_mention_every_option_and_command() -> None:
    """What no page mentions, nobody finds."""
    assert docs_checker().unmentioned() == []


def test_every_link_leads_somewhere() -> None:
    """Relative links of all pages point at files that are there."""
    assert docs_checker().broken_links() == []


def test_committed_adapters_are_small() -> None:
    """Organisms travel with the repository: at most 3 MB each, 40 MB together."""
    sizes = {relative(path): path.stat().st_size / MEGABYTE for path in tracked("*.safetensors")}
    assert {name: size for name, size in sizes.items() if size > 3} == {}
    assert sum(sizes.values()) < 40


def test_every_test_says_what_it_shows() -> None:
    """Each test function has a docstring that tells the behaviour."""
    silent = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
                "test_"
            )
            if is_test and not ast.get_docstring(node):
                silent.append(f"{relative(path)}: {node.name}")
    assert silent == []
