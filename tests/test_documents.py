"""What the documents say is there: pages, headings, commands, files; and their Python runs."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from cocon.config.schema import FlowExtraction

FENCE = re.compile(r"^ *```.*?^ *```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def documents(repository: Path) -> list[Path]:
    folders = (repository, repository / "docs", repository / "config", repository / ".github")
    return sorted(path for folder in folders for path in folder.glob("*.md"))


def headings(document: Path) -> set[str]:
    """The anchors that GitHub and the site give to a document's headings."""
    found = set()
    for title in re.findall(r"^#+ +(.+)$", FENCE.sub("", document.read_text()), re.M):
        kept = (c for c in title.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
        found.add("".join(kept).strip().replace(" ", "-"))
    return found


def code(document: Path) -> str:
    """What a document shows as code: blocks and spans."""
    text = document.read_text()
    return "\n".join([*FENCE.findall(text), *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))])


def python(document: Path) -> str:
    (found,) = re.findall(r"^```python\n(.*?)^```$", document.read_text(), re.M | re.S)
    return found


def test_links_lead_somewhere(repository: Path) -> None:
    for document in documents(repository):
        for link in LINK.findall(FENCE.sub("", document.read_text())):
            if re.match(r"https?:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (document.parent / name).resolve() if name else document
            assert target.exists(), f"{document.name}: {link}"
            assert not anchor or anchor in headings(target), f"{document.name}: {link}"


def pages(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        for value in entry.values():
            yield from pages(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation(repository: Path) -> None:
    hooks = ast.parse((repository / "docs" / "site_hooks.py").read_text())
    (root_files,) = (
        ast.literal_eval(node.value)
        for node in hooks.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROOT_FILES"
    )
    assert [name for name in root_files if not (repository / name).is_file()] == []
    there = {path.name for path in (repository / "docs").glob("*.md")}
    there |= {page for page in root_files.values() if page.endswith(".md")}
    listed = list(pages(yaml.safe_load((repository / "mkdocs.yml").read_text())["nav"]))
    assert sorted(listed) == sorted(there)


def test_what_the_api_lists_exists(repository: Path) -> None:
    """By the sources, as the site is made: torch is not imported."""
    listed = re.findall(r"^::: (\S+)$", (repository / "docs" / "api.md").read_text(), re.M)
    assert "cocon.export.encoder.load_encoder" in listed
    for name in listed:
        module, _, member = name.rpartition(".")
        path = repository.joinpath(*name.split(".")).with_suffix(".py")
        if not path.is_file():
            tree = ast.parse(repository.joinpath(*module.split(".")).with_suffix(".py").read_text())
            defined = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
            assert member in defined, name


def targets(repository: Path) -> set[str]:
    makefile = (repository / "Makefile").read_text()
    found = re.findall(r"^([^\s:=#][^:=]*):(?!=)", makefile, re.M)
    return {name for names in found for name in names.split() if name != ".PHONY"}


def test_make_is_asked_for_targets_that_it_has(repository: Path) -> None:
    known = targets(repository)
    assert {"test", "lint", "docs", ".venv/dev"} <= known
    for document in documents(repository):
        for line in re.findall(r"(?:^|\s)make ([^#\n&;]+)", code(document)):
            asked = {word for word in line.split() if "=" not in word}
            assert asked <= known, f"{document.name}: make {line}"


def test_pytest_and_python_are_asked_for_what_is_there(repository: Path) -> None:
    modules, files = 0, 0
    for document in documents(repository):
        shown = code(document)
        for module in re.findall(r"python -m ((?:tests|benchmarks)[\w.]+)", shown):
            assert repository.joinpath(*module.split(".")).with_suffix(".py").is_file(), module
            modules += 1
        for path, expression in re.findall(r"pytest (tests/\S+)(?: -k (\w+))?", shown):
            assert f"{expression}" in (repository / path).read_text(), f"{document.name}: {path}"
            files += 1
    assert modules > 3
    assert files > 1


def defines(path: Path, name: str) -> bool:
    return re.search(rf"^((def|class) )?{name}\b", path.read_text(), re.M) is not None


def test_contributing_names_files_and_names_that_exist(repository: Path) -> None:
    document = repository / "CONTRIBUTING.md"
    text = FENCE.sub("", document.read_text())
    named = re.findall(r"`((?:cocon|view_extractors|tests|workflow|benchmarks)/[\w./]*)`", text)
    assert len(named) > 10
    assert [name for name in named if not (repository / name).exists()] == []
    inside = re.findall(r"`(\w+)` in `([\w/]+\.py)`", text)
    assert len(inside) > 3
    assert [name for name, path in inside if not defines(repository / path, name)] == []


def test_what_documents_include_is_there(repository: Path) -> None:
    found = {}
    for document in documents(repository):
        for path, section in re.findall(r'^--8<-- "([^":]+):?(\w*)"$', document.read_text(), re.M):
            text = (repository / path).read_text()
            if section:
                (text,) = re.findall(
                    rf"\[start:{section}\]\n(.*?)^# --8<-- \[end:{section}\]$", text, re.M | re.S
                )
            found[path, section] = text
    assert {path for path, _ in found} == {"examples/read_a_shard.py", "examples/embed_a_folder.py"}
    lines = [line for line in found["examples/read_a_shard.py", "cocon"].splitlines() if line]
    assert len(lines) <= 10, "ten lines, says the page"


def test_the_example_of_a_backend_finds_a_motion(repository: Path) -> None:
    names: dict[str, Any] = {}
    exec(python(repository / "docs" / "add_backend.md"), names)
    noise = np.random.default_rng(0).normal(128, 40, size=(90, 120)).astype(np.float32)
    wide = cv2.GaussianBlur(noise, (0, 0), 1).astype(np.uint8)
    # the window goes right and down, so what it shows goes left and up
    frames = [np.repeat(wide[2 * i : 2 * i + 64, 3 * i : 3 * i + 80, None], 3, axis=2) for i in range(4)]
    extractor = names["Shift"](FlowExtraction())
    extractor.start(64, 80)
    flows = [*extractor.process(frames[:2]), *extractor.process(frames[2:]), *extractor.finish()]
    assert len(flows) == 4
    np.testing.assert_allclose(np.array(flows), np.broadcast_to([-3.0, -2.0], (4, 64, 80, 2)), atol=0.2)
