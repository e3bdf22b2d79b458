"""What holds the repository's own files together."""

import ast
import re
import tomllib

import nbformat
import papermill
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from agt_lib.workspace import paths

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
README = (paths.ROOT / "README.md").read_text()
NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))


def conda_dependencies():
    return yaml.safe_load((paths.ROOT / "environment.yml").read_text())["dependencies"]


def test_conda_installs_the_project_itself_and_lists_no_dependency_beside_it():
    *plain, pip = conda_dependencies()
    assert pip == {"pip": ["-c constraints.txt", "-e .[dev]"]}
    assert [re.split(r"[=<>]", entry)[0] for entry in plain] == ["python", "pip"]


def test_condas_python_is_one_the_project_supports():
    version = conda_dependencies()[0].split("=")[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)


def test_every_dependency_is_pinned_once():
    lines = (paths.ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line]
    assert len(pins) == len(set(pins))
    wanted = sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"])
    names = {Requirement(text).name.lower().replace("_", "-") for text in wanted}
    assert names - set(pins) == set()


def test_pins_satisfy_what_the_project_asks_for():
    lines = (paths.ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[requirement.name.lower().replace("_", "-")])


COMMON = ("workspace", "corpora", "evaluation", "features")
"""Each imports only those before it; every other room imports all of them."""

ALSO = {
    "fusion": {"clip_tuning", "prompts"},
    "pseudo": {"fusion"},
    "prediction": {"fusion", "voting"},
    "__main__.py": {"prediction", "voting"},
}
"""What a room imports beyond the common rooms; `probing`, `voting`, `figures` not even features."""


def imports():
    """Which room imports which: (file, room, imported room)."""
    for path in (paths.ROOT / "agt_lib").rglob("*.py"):
        room = path.relative_to(paths.ROOT / "agt_lib").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("agt_lib"):
                parts = node.module.split(".")
                found = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
                yield from (
                    (str(path.relative_to(paths.ROOT)), room, n) for n in found if n != room
                )


def allowed(room):
    if room in COMMON:
        return set(COMMON[: COMMON.index(room)])
    plain = {"probing", "voting", "figures"}
    return set(COMMON) - ({"features"} if room in plain else set()) | ALSO.get(room, set())


def test_rooms_import_what_stands_below_them_alone():
    assert [found for found in imports() if found[2] not in allowed(found[1])] == []


def test_no_module_is_longer_than_300_lines():
    long = {
        str(path.relative_to(paths.ROOT)): n
        for path in (paths.ROOT / "agt_lib").rglob("*.py")
        if (n := len(path.read_text().splitlines())) > 300
    }
    assert long == {}


def test_pictures_and_files_that_the_readme_links_exist():
    text = (paths.ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)#]+)\)", text)
    missing = [link for link in links if "://" not in link and not (paths.ROOT / link).exists()]
    assert missing == []


def test_commands_that_the_readme_names_are_make_targets():
    targets = set(re.findall(r"^([a-z]+):", (paths.ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (paths.ROOT / "README.md").read_text()
    named = set(re.findall(r"^make (?:\w+=\S+ )*([a-z]+)", text, re.MULTILINE))
    assert named, "the README shows no make command"
    assert named <= targets


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_committed_without_outputs_for_the_kernel_python3(self, path):
        notebook = nbformat.read(path, 4)
        assert notebook.metadata.kernelspec.name == "python3"
        assert all(not c.outputs and c.execution_count is None for c in self.code(path))

    def test_opens_with_purpose_inputs_outputs_and_run_time(self, path):
        first = nbformat.read(path, 4).cells[0]
        assert first.cell_type == "markdown"
        for word in ("**Purpose**", "**Inputs**", "**Outputs**", "**Run time**"):
            assert word in first.source

    def test_has_one_parameters_cell_of_literals_as_its_first_code(self, path):
        tagged = [c for c in self.code(path) if "parameters" in c.metadata.get("tags", [])]
        assert len(tagged) == 1
        assert self.code(path)[0].id == tagged[0].id
        for statement in ast.parse(tagged[0].source).body:
            assert isinstance(statement, ast.Assign)
            ast.literal_eval(statement.value)  # raises for anything but a literal

    def test_papermill_reads_every_parameter(self, path):
        assigned = [
            node.targets[0].id
            for node in ast.parse(self.code(path)[0].source).body
            if isinstance(node, ast.Assign)
        ]
        assert list(papermill.inspect_notebook(path)) == assigned

    def test_defines_no_function_and_no_class(self, path):
        for cell in self.code(path):
            source = re.sub(r"^[%!].*$", "", cell.source, flags=re.MULTILINE)
            kinds = {type(node) for node in ast.walk(ast.parse(source))}
            assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda}

    def test_has_no_code_cell_longer_than_25_lines(self, path):
        assert max(len(cell.source.splitlines()) for cell in self.code(path)) <= 25

    @staticmethod
    def code(path):
        return [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
