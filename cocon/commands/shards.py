"""Verify shards, print their content, and draw them as contact sheets."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cocon.errors import ShardError
from cocon.files import output_file
from cocon.terminal import printable, say
from cocon.views import VIEWS

HELP = "verify, describe or show HDF5 shards"

_EXAMPLES = """examples:
  cocon shards verify results/demo/shards
  cocon shards info results/demo/shards/rgb/00000.h5 --json
  cocon shards show results/demo/shards --status
  cocon shards show results/demo/shards --video wave/s01_t1 --output sheet.png"""
_WHERE = "shard, or a folder of *.h5 files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon shards``."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    verify = actions.add_parser(
        "verify",
        help="verify every checksum",
        description="Read every byte and verify all checksums; exit status 2 if a shard is bad.",
    )
    verify.add_argument("shards", type=Path, nargs="+", metavar="SHARD", help=_WHERE)

    info = actions.add_parser(
        "info",
        help="print the content",
        description="Print view, codec, numbers of videos and frames, size, settings, and the videos "
        "that are not ok.",
    )
    info.add_argument("shards", type=Path, nargs="+", metavar="SHARD", help=_WHERE)
    info.add_argument(
        "--json", action="store_true", help="print one JSON document, with every row of the tables"
    )

    show = actions.add_parser(
        "show",
        help="draw a video's views as a contact sheet, or list all videos",
        description="Draw a contact sheet (a row per view, a column per frame), or list the videos.",
    )
    show.add_argument("shards", type=Path, nargs="+", metavar="SHARD", help=_WHERE)
    what = show.add_mutually_exclusive_group(required=True)
    what.add_argument("--video", metavar="ID", help="the video to draw")
    what.add_argument("--status", action="store_true", help="list the frames and status of every video")
    show.add_argument("--frames", type=int, default=8, metavar="N", help="number of columns (default 8)")
    show.add_argument(
        "--height", type=int, default=150, metavar="PX", help="height of a picture, px (default 150)"
    )
    show.add_argument(
        "--output", type=output_file, default=Path("sheet.png"), help="output file, PNG (default sheet.png)"
    )


def run(args: argparse.Namespace) -> None:
    """Run one action on all given shards."""
    paths = shard_files(args.shards)
    if args.action == "verify":
        verify_all(paths)
    elif args.action == "info":
        info(paths, as_json=args.json)
    elif args.status:
        status(paths)
    else:
        from cocon.report.contact_sheet import write_sheet

        if args.frames < 1 or args.height < 16:
            raise ShardError("a sheet needs at least one column, and pictures of 16 px")
        write_sheet(paths, args.video, args.output, columns=args.frames, height=args.height)
        say(args.output)


def shard_files(paths: Iterable[Path]) -> list[Path]:
    """List the given files, and the ``*.h5`` files below the given folders.

    Raises:
        ShardError: for a folder without any.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        found = sorted(path.rglob("[!.]*.h5"))
        if not found:
            raise ShardError(f"there is no shard in {path}", "run the extraction first")
        files += found
    return files


def verify_all(paths: Sequence[Path]) -> None:
    """Print a line per shard and a summary; raises ShardError if one is bad or cannot be read."""
    from cocon.shards.header import DamagedShardError
    from cocon.shards.verify import verify

    bad = unread = 0
    for path in paths:
        try:
            rows = verify(path)
        except DamagedShardError as error:
            bad += 1
            say(f"BAD    {error.message}")
        except ShardError as error:
            unread += 1
            say(f"?      {error.message}{f' ({error.hint})' if error.hint else ''}")
        else:
            say(f"whole  {printable(path)}: {_count(rows)}")
    if unread:
        also = f", and {bad} are bad" if bad else ""
        raise ShardError(
            f"{unread} of {len(paths)} files cannot be read as shards{also}",
            "check their permissions, and that they are shards",
        )
    if bad:
        raise ShardError(
            f"{bad} of {len(paths)} shards are bad",
            "delete them and run the workflow again; it extracts them again",
        )
    say(f"{len(paths)} shards, all whole")


def _count(rows: Sequence[Any]) -> str:
    statuses = Counter(row.status for row in rows)
    parts = [f"{statuses[name]} {name}" for name in ("ok", "repaired", "skipped") if statuses[name]]
    return f"{len(rows)} videos ({', '.join(parts) or 'none'})"


def _sources(rows: Sequence[Any]) -> str:
    known = [row.source for row in rows if row.source.known]
    if not known:
        return "files that it does not describe"
    total, read = sum(source.size for source in known), sum(bool(source.sha256) for source in known)
    return f"{len(known)} files of {total:,} bytes" + (f", {read} with a sha256" if read else "")


def info(paths: Sequence[Path], *, as_json: bool) -> None:
    """Describe shards."""
    from cocon.shards import Shard

    documents = []
    for path in paths:
        shard = Shard(path)
        rows = list(shard.videos.values())
        frames, size = sum(row.frames for row in rows), path.stat().st_size
        if as_json:
            head = {
                "path": str(path),
                "view": shard.view,
                "codec": shard.codec,
                "version": shard.version,
                "bytes": size,
                "frames": frames,
            }
            videos = [asdict(row) for row in rows]
            documents.append({**head, "parameters": shard.parameters, "videos": videos})
            continue
        say(printable(path))
        say(f"  view        {shard.view}, coded as {shard.codec}\n  videos      {_count(rows)}")
        say(
            f"  format      version {shard.version}"
            f"{', frames without checksums' if shard.version == 2 else ''}"
        )
        say(f"  made from   {_sources(rows)}")
        say(
            f"  frames      {frames:,}, {size / max(frames, 1):,.0f} bytes each\n  size        {size:,} bytes"
        )
        for key, value in sorted(shard.parameters.items()):
            say(f"  {printable(key):<11} {printable(value if isinstance(value, str) else json.dumps(value))}")
        for row in rows:
            if row.status != "ok":
                say(f"  {row.status:<11} {printable(row.id)}: {printable(row.reason)}")
    if as_json:
        say(json.dumps(documents, indent=2))


def status(paths: Sequence[Path]) -> None:
    """Print a line per video: length, size and status in every view."""
    from cocon.shards import Shard

    shards = [Shard(path) for path in paths]
    views = [view for view in VIEWS if any(shard.view == view for shard in shards)]
    table: dict[str, dict[str, Any]] = {}
    for shard in shards:
        for row in shard.videos.values():
            table.setdefault(row.id, {})[shard.view] = row
    width = max(len("video"), *(len(printable(video_id)) for video_id in table), 0)
    say(f"{'video':<{width}}  {'frames':>6}  {'fps':>6}  {'size':>9}  " + "  ".join(f"{v:<8}" for v in views))
    for video_id, rows in table.items():
        first = next((row for row in rows.values() if row.usable), next(iter(rows.values())))
        size = f"{first.source_width}x{first.source_height}"
        states = "  ".join(f"{rows[view].status if view in rows else '-':<8}" for view in views)
        reasons = "; ".join(dict.fromkeys(row.reason for row in rows.values() if row.reason))
        about = f"{first.frames:>6}  {first.fps:>6.2f}  {size:>9}  {states}  {reasons}"
        say(printable(f"{printable(video_id):<{width}}  {about}".rstrip()))
