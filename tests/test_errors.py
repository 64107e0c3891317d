from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from cocon.errors import PKG_RESOURCES, missing_package


@pytest.mark.parametrize(
    ("content", "module", "message", "hint"),
    [
        (None, "", ", which is not installed", "get it"),
        ("", ".part", ", but the one that is installed lacks the module some_package.part", "get it"),
        (
            "import no_such_module",
            "",
            ", which needs the module no_such_module, which is not installed",
            "install it into the same environment, or some-package again: get it",
        ),
        (
            "raise ModuleNotFoundError('No module', name='pkg_resources')",
            "",
            ", which needs the module pkg_resources, which is not installed",
            PKG_RESOURCES,
        ),
        (
            "from math import no_such_name",
            "",
            ", which cannot be imported: cannot import name 'no_such_name' from 'math'",
            "get it",
        ),
    ],
)
def test_the_missing_module_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
    module: str,
    message: str,
    hint: str,
) -> None:
    if content is not None:
        (tmp_path / "some_package").mkdir()
        (tmp_path / "some_package" / "__init__.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_package", raising=False)
    with pytest.raises(ImportError) as caught:
        importlib.import_module(f"some_package{module}")
    found, advice = missing_package("this test", "some-package", caught.value, "get it")
    assert found.startswith(f"this test needs the package some-package{message}")
    assert advice == hint
    sys.modules.pop("some_package", None)
