"""``docs/configuration.md``: every key with its default and its meaning."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from cocon.config.json_schema import Node
from cocon.config.manual import WIDTH, Key, Manual, Shape, as_code, first_paragraph

_DOCUMENT = re.compile(r"docs/(\w+)\.md")
#: code, or a word with a part to fill in, which HTML would take for a tag
_CODE_OR_PATTERN = re.compile(r"``?[^`]+``?|[^\s`(]*<[^\s`]+?>[^\s`,;)]*")

#: title and keys of the first section of a shape
Seen = dict[Shape, tuple[str, list[Key]]]

_HEAD_OF_PAGE = """\
<!-- Written by `make schema` from cocon/config/schema/ and cocon/config/manual_page.py: change it there. -->

# Configuration

`config.yaml` says what a run does. Here is every key: its default, what it can be, and what it means. What is
left out has its default; an unknown key is an error with its line and the nearest known name.
`config/config.default.yaml` is the same as a file. Editors that know YAML schemas complete and check the
keys, by `workflow/schemas/config.schema.json`. After a change only what depends on it
[runs again](reruns.md).

## Files

Write what is yours into a file of your own, on top of `config.yaml`, for instance `mine.yaml`:

```yaml
# yaml-language-server: $schema=workflow/schemas/config.schema.json
datasets:
  mine:
    kind: folder
    recipe: r18_128
    shards: 1
    videos: /path/to/videos
    table: /path/to/table.csv
```

```
cocon data check mine --configfile mine.yaml
snakemake --cores 8 eval_mine --configfile mine.yaml
```

- Files are merged key by key: `datasets: {ucf101: {videos: /data/ucf101}}` changes that key of `ucf101` and
  no other. Of several files after `--configfile` later ones count over earlier ones, and what follows
  `--config` (`--config seed=1`) counts over all files.
- `include` names files whose keys count where no other file has them. `config.yaml` includes
  `config/paper.yaml`: the public data sets, and the recipes of the paper.
- Names of data sets, recipes, ablations, protocols and splits become parts of targets and files: at most 40
  of A-Z, a-z, 0-9, `_`, `-` and `.`, and a letter or a digit first.
- Keys that a run does not read (`momentum` with `optimiser: adam`) are named when the configuration is read.
- Without a target, the first data set is evaluated.
"""

_TITLES = {"jobs": "Jobs", "datasets": "Data sets", "recipes": "Recipes", "ablations": "Ablations"}


def page() -> str:
    """``docs/configuration.md``."""
    manual, seen = Manual(), Seen()
    keys = manual.keys(manual.schema)
    lines = ["", "## Top level", "", *_table(manual, [key for key in keys if not manual.has_parts(key)])]
    for key in keys:
        if manual.has_parts(key):
            lines += ["", f"## {_TITLES[key.name]}", "", *_paragraph(key.meaning)]
            if "properties" in key.node:
                lines += _inner_lines(manual, key.node, key.name, seen)
            for title, section in _parts(manual, key, "") if manual.entries(key.node) else []:
                lines += _page_lines(manual, section, title, seen)
    return _HEAD_OF_PAGE + "\n".join(lines) + "\n"


def _parts(manual: Manual, key: Key, prefix: str) -> Iterator[tuple[str, Node]]:
    """The sections of a key, with their titles."""
    if "properties" in key.node:
        yield f"{prefix}{key.name}", key.node
    for entry in manual.entries(key.node):
        kind = entry["properties"].get("kind")
        yield f"{prefix}{key.name}.<name>" + (f", kind: {kind['const']}" if kind else ""), entry


def _page_lines(manual: Manual, section: Node, title: str, seen: Seen) -> Iterator[str]:
    """A heading, a sentence and a table of a section, then the same of the sections within.

    Args:
        manual: the source.
        section: that the lines are about.
        title: of its heading.
        seen: earlier sections.
    """
    keys = manual.keys(section)
    plain = [key for key in keys if not manual.has_parts(key)]
    yield from ("", f"### `{title}`", "", *_paragraph(first_paragraph(section)))
    if plain:
        like, known = seen.setdefault(manual.shape(section), (title, keys))
        if like != title and len(plain) > 2:
            values = {key.name: key.value for key in known}
            plain = [key for key in plain if key.value != values[key.name]]
            others = "with these defaults" if plain else "with the same defaults"
            yield from ("", *_paragraph(f"Keys as of `{like}`, {others}{':' if plain else '.'}"))
    if plain:
        yield from ("", *_table(manual, plain))
    moved = [f"`{name}`" for name, node in section["properties"].items() if node.get("deprecated")]
    if moved and title in (like for like, _ in seen.values()):
        text = f"{', '.join(moved)} can be given here as well, and belong under [jobs](#jobs)."
        yield from ("", *_paragraph(text))
    yield from _inner_lines(manual, section, title, seen)


def _inner_lines(manual: Manual, section: Node, title: str, seen: Seen) -> Iterator[str]:
    """The lines of the sections within a section."""
    for key in manual.keys(section):
        if manual.has_parts(key):
            for below, part in _parts(manual, key, f"{title}."):
                yield from _page_lines(manual, part, below, seen)


def _paragraph(text: str) -> list[str]:
    text = _linked(text[:1].upper() + text[1:])
    text += "" if text.endswith((".", ":", "?")) else "."
    return textwrap.wrap(text, WIDTH + 2, break_on_hyphens=False, break_long_words=False)


def _table(manual: Manual, keys: list[Key]) -> Iterator[str]:
    yield "| key | default | can be | meaning |"
    yield "| --- | --- | --- | --- |"
    for key in keys:
        default = "must be given" if key.required else as_code(key.value)
        cells = [f"`{key.name}`", default, manual.type_of(key.node), _linked(key.meaning)]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _linked(text: str) -> str:
    """With links to documents, and with patterns as code."""
    text = _CODE_OR_PATTERN.sub(lambda found: f"`{found[0].strip('`')}`", text)
    return _DOCUMENT.sub(r"[\1](\1.md)", text)
