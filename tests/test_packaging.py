"""What pyproject.toml promises, and what messages say about it."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = ("ablations", "benchmarks", "datamodules", "evaluation", "lightning_modules", "morphable_faces")


def sources() -> list[Path]:
    return [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py"))]


def test_messages_install_extras_from_the_checkout_and_every_one_of_them_exists() -> None:
    named = set()
    for path in sources():
        text = path.read_text()
        assert f"pip install '{PROJECT['name']}" not in text, f"{path}: no index has {PROJECT['name']}"
        named |= set(re.findall(r"pip install -e '\.\[(\w+)\]'", text))
    assert {"wandb", "pytorch3d", "open3d"} <= named
    assert named <= set(PROJECT["optional-dependencies"])


def test_compromised_releases_of_lightning_are_excluded() -> None:
    (requirement,) = [each for each in PROJECT["dependencies"] if each.startswith("lightning")]
    assert {"!=2.6.2", "!=2.6.3"} <= set(requirement.removeprefix("lightning").split(","))


def test_no_metadata_names_a_place_that_does_not_exist() -> None:
    assert PROJECT["authors"] == [{"name": f"The {PROJECT['name']} developers"}]
    assert "urls" not in PROJECT  # there is no public repository yet


def test_hosted_tests_run_on_the_versions_that_the_metadata_name() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"]["base"]
    named = [each.split(" :: ")[-1] for each in PROJECT["classifiers"] if "Python :: 3." in each]
    assert workflow["strategy"]["matrix"]["python"] == named
    installed = " ".join(step.get("run", "") for step in workflow["steps"])
    tools = [each for each in PROJECT["optional-dependencies"]["test"] if each.startswith(("ruff", "pytest"))]
    assert len(tools) == 2
    assert all(tool in installed for tool in tools)


def test_every_package_is_checked_for_types_and_says_that_it_is_typed() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    found = tools["setuptools"]["packages"]["find"]["include"]
    packages = {pattern.removesuffix("*") for pattern in found}
    assert packages == set(tools["mypy"]["files"])
    for package in packages:
        assert (ROOT / package / "py.typed").is_file()
        assert "py.typed" in tools["setuptools"]["package-data"][package]


def test_every_ignored_type_error_has_its_reason() -> None:
    for path in sources():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "# type: ignore" in line:
                reason = line.split("# type: ignore", 1)[1].partition("#")[2]
                assert len(reason.split()) >= 2, (
                    f"{path}, line {number}: an ignored type error needs a reason"
                )
