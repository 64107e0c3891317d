"""mkdocs: documents of the repository's root become pages, and links between them and docs/ are adapted."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

#: file of the repository's root -> its name in the site
ROOT_FILES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "CITATION.cff": "CITATION.cff",
    "examples/read_a_shard.py": "examples/read_a_shard.py",
    "examples/embed_a_folder.py": "examples/embed_a_folder.py",
}
_LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#])")
_CODE = re.compile(r"`[^`]+`")
#: as docstrings name functions and classes
_ROLE = re.compile(r":[a-z]+:(?=<code>)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's documents."""
    root = Path(config.config_file_path).parent
    for source, name in ROOT_FILES.items():
        files.append(File.generated(config, name, abs_src_path=str(root / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as the site has them; pipes in the code of a table, which GitHub wants escaped, as they are."""
    folder = "" if page.file.src_uri in ROOT_FILES.values() else "docs"
    lines = _LINK.sub(lambda link: in_site(folder, link[1]), markdown).split("\n")
    return "\n".join(
        _CODE.sub(lambda code: code[0].replace("\\|", "|"), line) if line.startswith("|") else line
        for line in lines
    )


def on_page_content(html: str, **_: Any) -> str:
    """Names in docstrings without their roles."""
    return _ROLE.sub("", html)


def in_site(folder: str, link: str) -> str:
    """Where a relative link from a document in this folder of the repository leads in the site."""
    target = posixpath.normpath(posixpath.join(folder, link))
    return ROOT_FILES.get(target, target.removeprefix("docs/"))
