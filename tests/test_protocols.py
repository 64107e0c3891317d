"""One table of protocols: what lists, runs or explains them agrees with it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cocon.config.schema import Evaluation, Finetune, Jobs
from cocon.config.schema.protocols import SECTIONS
from cocon.evaluation.settings import EnsembleSettings, EvaluateSettings, FinetuneSettings
from cocon.protocols import FEATURES, FRAMES, PROTOCOLS, described, that_read
from cocon.versions import STAGES


@pytest.mark.parametrize("name", PROTOCOLS)
def test_entries_are_whole(name: str) -> None:
    entry = PROTOCOLS[name]
    assert entry.title
    assert entry.measure in ("top-1", "R@1")
    parameters = list(inspect.signature(entry.load()).parameters)
    if entry.reads == FEATURES:
        assert parameters == ["task", "split", "features", "settings"]
        assert name in STAGES
    else:
        assert parameters == ["job", "device"]
        assert entry.job in Jobs.model_fields
        assert issubclass(SECTIONS[name], Finetune)
    if entry.joined:
        joined = list(inspect.signature(entry.load_joined()).parameters)
        assert joined == ["task", "split", "features", "weights", "settings"]


def test_every_protocol_has_a_section_wherever_settings_are_read() -> None:
    for name, section in SECTIONS.items():
        assert type(Evaluation().section(name)) is section
    of_commands = {
        EvaluateSettings: set(that_read(FEATURES)),
        FinetuneSettings: set(that_read(FRAMES)),
        EnsembleSettings: {name for name, entry in PROTOCOLS.items() if entry.joined},
    }
    for settings, names in of_commands.items():
        assert set(settings.model_fields) & set(PROTOCOLS) == names
        for name in names:
            assert type(settings().of(name)) is SECTIONS[name]
    assert {*that_read(FEATURES), *that_read(FRAMES)} == set(PROTOCOLS)


def test_help_has_title_and_source() -> None:
    text = described(FRAMES)
    assert "finetune_dpc: Fine-tuning as in DPC (Han et al. 2019, arXiv 1909.04656); " in text
    assert "linear: Linear probe; " in described(FEATURES)


def test_the_documents_explain_every_protocol(repository: Path) -> None:
    text = (repository / "docs" / "evaluation.md").read_text()
    explained = re.search(r"\| protocol \| what is trained .*?\n\n", text, re.S)
    assert explained is not None
    assert set(re.findall(r"^\| `(\w+)`", explained[0], re.M)) == set(PROTOCOLS)
    for entry in PROTOCOLS.values():
        for number in re.findall(r"arXiv ([\d.]+)", entry.source):
            assert number in text, "a source that the documents do not name"


def test_the_table_is_light() -> None:
    code = "import sys, cocon.protocols; print({'torch', 'numpy', 'pydantic'} & set(sys.modules) or '')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
