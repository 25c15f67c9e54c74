"""`mismartera export`: show, check and replay exports, in any form."""

from __future__ import annotations

from pathlib import Path

import click

from .console import say

_FILE = click.Path(path_type=Path)


@click.group("export")
def export_group() -> None:
    """Show, check and replay exports: files .json, .json.gz, .json.zst, and folders .arrow and .parquet.

    'backtest run' writes them with --export and --export-every, and 'system export-status' in the shell. A complete one
    carries the whole state; a delta, what its consumer had not been sent before.

    \b
    Examples:
      mismartera export show state.json
      mismartera export check out/*.json
      mismartera export replay out/*.json -o merged.json
    """


@export_group.command("show", short_help="Show what an export holds.")
@click.argument("file", type=_FILE)
@click.option("--interval", metavar="INTERVAL", help="Whose bars the timeline shows; by default the streamed ones.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Symbols to show, those of the worst quality first; 0 shows all.",
)
def show_command(file: Path, interval: str | None, limit: int) -> None:
    """Show what an export holds: its metadata, counts and quality per interval, symbols, and gaps over the session.

    In the timeline a block is a span of the session: █ every bar is there, ▒ some are missing, · all are; blank is
    not due yet. A delta has no timeline: it lists the gap ranges it tells of.

    \b
    Examples:
      mismartera export show state.json
      mismartera export show state.json --interval 5m --limit 0
    """
    from mismartera.engine.export.reading.loading import load

    from .export_report import show_export

    export = load(file)
    export.require_sound()
    show_export(file, export.document(), interval=interval, limit=limit)


@export_group.command("check", short_help="Check exports for errors.")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("--chain", is_flag=True, help="Also check that the files, in order of their sequence, make a chain.")
def check_command(files: tuple[Path, ...], chain: bool) -> int:
    """Check that exports are undamaged and consistent: checksums, shape, counts, order, gaps, figures.

    Prints a line for each problem, and exits with 1 if there is any. An export without checksums, such as one of
    version 2.0, is reported too: damage to it cannot be ruled out.

    \b
    Examples:
      mismartera export check state.json
      mismartera export check --chain out/*.json.zst
    """
    from mismartera.engine.export.reading.loading import load
    from mismartera.engine.export.reading.replay import replay
    from mismartera.schemas.errors import ChainError, NotAnExportError

    problems: list[str] = []
    notes: list[str] = []
    for file in files:
        try:
            export = load(file)
            problems += [f"{file}: {problem}" for problem in export.problems()]
            if not export.has_checksum:
                notes.append(f"{file}: no checksum: damage cannot be ruled out")
        except NotAnExportError as error:
            problems.append(str(error))
    if chain and not problems:
        try:
            replay(files)
        except (ChainError, NotAnExportError) as error:
            problems.append(str(error))
    for line in problems + notes:
        say(line)
    if not problems:
        say(f"{len(files)} export{'s' if len(files) > 1 else ''}: no problem")
    return int(bool(problems))


@export_group.command("replay", short_help="Merge a chain of exports into a complete one.")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FIRST [DELTA]...")
@click.option(
    "-o",
    "--output",
    type=_FILE,
    required=True,
    metavar="FILE",
    help="Where the merged complete export goes: .json, .json.gz or .json.zst.",
)
def replay_command(files: tuple[Path, ...], output: Path) -> None:
    """Merge a chain of exports into one complete export: the state at the instant of the last.

    FIRST is a complete export, or the delta with sequence 1. All must be of one run and one consumer. Their order does
    not matter, their sequence does: one that is missing, there twice or foreign is an error that names it.

    \b
    Examples:
      mismartera export replay first.json delta1.json delta2.json -o merged.json
      mismartera export replay out/*.json -o merged.json.gz
    """
    from mismartera.engine.export.formats.json_file import JsonFile
    from mismartera.engine.export.formats.registry import FORMATS, format_of
    from mismartera.engine.export.reading.replay import replay
    from mismartera.engine.export.writing.targets import require_replaceable, target_of
    from mismartera.schemas.errors import UnknownNameError

    form = format_of(output)
    merged = FORMATS[form]
    if not isinstance(merged, JsonFile):
        written = [name for name, one in FORMATS.items() if not one.is_folder]
        raise UnknownNameError("format of a merged export", form, written)
    if output.resolve() in {file.resolve() for file in files}:
        raise click.UsageError(f"{output} is one of the exports to merge: name another file with -o")
    target = target_of(output)
    require_replaceable(target)
    state = replay(files)
    merged.write_pieces(target, state.pieces())
    say(f"{len(files)} exports merged, up to sequence {state.metadata['sequence']}: {output}")
