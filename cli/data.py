"""`mismartera data`: import, list, generate and verify the catalog's bars, ticks and quotes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mismartera.engine.data.sources import SOURCES

from .console import catalog_option, progress, say, table

if TYPE_CHECKING:
    from mismartera.engine.data.importer import ImportSummary

_DATE = click.DateTime(["%Y-%m-%d"])
_MOST_FILES = 10


@click.group("data")
def data_group() -> None:
    """Import, list, generate and verify the catalog's bars, ticks and quotes.

    The catalog is a folder of plain Parquet, one file per interval and date, which DuckDB, Polars and Spark read
    directly. It is data/catalog by default; MISMARTERA_CATALOG names another.

    \b
    Examples:
      mismartera data import spy.csv --format csv --interval 1m --symbol SPY --tz America/New_York
      mismartera data generate --symbols 50 --start 2025-07-01 --end 2025-07-03
      mismartera data list
      mismartera data verify
    """


@data_group.command("import", short_help="Import a file, or a folder of them.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(list(SOURCES)),
    required=True,
    help="Format of PATH; csv may be gzipped or zipped.",
)
@click.option(
    "--interval",
    metavar="INTERVAL",
    default="1m",
    show_default=True,
    help="Length of the bars, such as 30s, 1m, 5m, 1h, 1d.",
)
@click.option(
    "--kind",
    type=click.Choice(["bars", "ticks", "quotes"]),
    default="bars",
    show_default=True,
    help="Kind of the rows.",
)
@click.option(
    "--symbol",
    metavar="SYMBOL",
    help="Symbol of the rows, if PATH has no symbol column; a column with other symbols is an error. For lean: the "
    "only symbol to import.",
)
@click.option(
    "--tz",
    metavar="ZONE",
    help="Time zone of timestamps without one, such as America/New_York.  [default: UTC; lean: America/New_York]",
)
@click.option(
    "--stamp",
    type=click.Choice(["start", "end"]),
    default="start",
    show_default=True,
    help="Whether timestamps in PATH mark the start or the end of a bar; the catalog stores the start.",
)
@click.option(
    "--date-format",
    metavar="FORMAT",
    help="Format of timestamps, such as '%d/%m/%Y %H:%M'.  [default: ISO 8601 and others with the year first]",
)
@click.option(
    "--delimiter",
    metavar="CHARACTER",
    help="Character between the fields of csv, such as ';' or '\\t' (a tab).  [default: detected]",
)
@click.option(
    "--columns",
    metavar="COLUMNS",
    help='Columns of PATH, by name: "ticker=symbol,o=open,…", or by order: "symbol,timestamp,open,…". - ignores a '
    "column.  [default: detected by their usual names]",
)
@catalog_option
def import_command(path: Path, form: Any, catalog: Path, **options: Any) -> None:
    """Import PATH, a file or a folder of them, into the catalog.

    Bars need the columns timestamp, open, high, low, close and volume; ticks timestamp, price, size and, optionally,
    exchange; quotes timestamp, bid, ask, bid_size and ask_size. Date and time may be two columns. In csv, values in
    quotes may hold commas: "1,200" is 1200.

    Rows are checked first: invalid rows go to a file in quarantine/, each with its reason, and the summary counts
    them. Importing again is safe: rows replace those of the same symbol and time, and partitions that do not change
    are not written.

    \b
    Examples:
      One symbol, semicolons, no header, stamped at the bar's end in UTC:
        mismartera data import spy.csv --format csv --symbol SPY --stamp end --tz UTC
      Day before month:
        mismartera data import eu.csv --format csv --symbol SAP --tz Europe/Berlin --date-format "%d.%m.%Y %H:%M"
      Columns of other names; New York time:
        mismartera data import bars.csv.gz --format csv --tz America/New_York \\
            --columns "ticker=symbol,when=timestamp,o=open,h=high,l=low,c=close,vol=volume"
      No header, columns in another order:
        mismartera data import x.csv --format csv --columns "symbol,timestamp,close,open,high,low,volume,-"
      Daily bars of a folder of Parquet files:
        mismartera data import daily/ --format parquet --interval 1d
      A LEAN data folder; trades as ticks:
        mismartera data import lean/data --format lean --interval 1m
        mismartera data import lean/data --format lean --kind ticks --symbol SPY
    """
    from mismartera.engine.data.catalog import Catalog
    from mismartera.engine.data.importer import import_path
    from mismartera.engine.data.options import ImportOptions

    if options["delimiter"] == "\\t":
        options["delimiter"] = "\t"
    with progress("Importing") as update:
        summary = import_path(Catalog(catalog), path, ImportOptions(format=form, **options), progress=update)
    _show_import(summary, catalog)


def _show_import(summary: ImportSummary, catalog: Path) -> None:
    rows: list[tuple[str, int]] = [
        ("files", summary.files),
        ("rows read", summary.read),
        ("imported", summary.imported),
        ("  added", summary.added),
        ("  replaced", summary.replaced),
        ("  unchanged", summary.unchanged),
        ("exact duplicates dropped", summary.duplicates),
        ("quarantined", sum(summary.quarantined.values())),
        *((f"  {reason}", count) for reason, count in summary.quarantined.items()),
        ("partitions written", len(summary.partitions)),
    ]
    table(f"Imported into {catalog}", ["what", "count"], rows)
    for file in summary.without_rows[:_MOST_FILES]:
        say(f"no rows in {file}")
    if len(summary.without_rows) > _MOST_FILES:
        say(f"no rows in {len(summary.without_rows) - _MOST_FILES:,} files more")
    if summary.quarantine_path:
        say(f"quarantined rows, with a reason each: {summary.quarantine_path}")


@data_group.command("list", short_help="List what the catalog holds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of objects, instants in ISO 8601, UTC.")
@catalog_option
def list_command(as_json: bool, catalog: Path) -> None:
    """List what the catalog holds, per interval and symbol.

    \b
    Examples:
      mismartera data list
      mismartera data list --json | jq '.[].symbol'
    """
    from mismartera.engine.data.catalog import Catalog

    stored = Catalog(catalog)
    stored.require()
    summary = stored.summary()
    if as_json:
        import orjson

        say(orjson.dumps(summary.to_dicts(), option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode())
        return
    rows = [
        (row["kind"], row["symbol"], row["rows"], row["days"], _minute(row["first"]), _minute(row["last"]))
        for row in summary.iter_rows(named=True)
    ]
    table(f"Catalog {catalog}", ["interval", "symbol", "rows", "days", "first (UTC)", "last (UTC)"], rows)


def _minute(instant: dt.datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"


@data_group.command("generate", short_help="Generate synthetic sessions.")
@click.option(
    "--symbols",
    metavar="N|A,B",
    default="10",
    show_default=True,
    help="Number of symbols (SYM0001, …), or their names: AAPL,MSFT,BRK.B",
)
@click.option("--start", type=_DATE, required=True, metavar="YYYY-MM-DD", help="First day.")
@click.option("--end", type=_DATE, required=True, metavar="YYYY-MM-DD", help="Last day, included.")
@click.option("--interval", metavar="INTERVAL", default="1m", show_default=True, help="Length of the bars.")
@click.option(
    "--exchange-group",
    metavar="GROUP",
    default="US_EQUITY",
    show_default=True,
    help="Exchange group whose calendar is used, such as US_EQUITY, JP_EQUITY or HK_EQUITY.",
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Random seed; the same seed generates the same bars.",
)
@click.option(
    "--missing",
    metavar="SHARE",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.01,
    show_default=True,
    help="Share of the bars to leave out.",
)
@click.option("--extended-hours", is_flag=True, help="Add sparse bars before the open and after the close.")
@click.option("--daily", is_flag=True, help="Add daily bars derived from these bars.")
@click.option("--ticks", is_flag=True, help="Add a few trades per bar.")
@click.option("--quotes", is_flag=True, help="Add a few quotes per bar.")
@catalog_option
def generate_command(symbols: str, start: dt.datetime, end: dt.datetime, catalog: Path, **options: Any) -> None:
    """Generate synthetic sessions: plausible bars with gaps, holidays, early closes and lunch breaks.

    \b
    Examples:
      mismartera data generate --symbols 50 --start 2025-07-01 --end 2025-07-03
      mismartera data generate --symbols AAPL,BRK.B --start 2025-07-01 --end 2025-07-31 --daily --missing 0
      mismartera data generate --symbols 20 --start 2025-07-01 --end 2025-07-02 --exchange-group HK_EQUITY
    """
    from mismartera.engine.data.catalog import Catalog
    from mismartera.engine.data.generate import generate

    names = [name.strip() for name in symbols.split(",") if name.strip()]
    wanted = int(symbols) if symbols.strip().isdecimal() else names
    with progress("Generating") as update:
        made = generate(Catalog(catalog), wanted, start.date(), end.date(), progress=update, **options)
    rows = [("sessions", made.sessions), ("symbols", made.symbols)]
    rows += [(f"rows of {kind}", count) for kind, count in made.rows.items()]
    rows += [("bars left out", made.missing), ("partitions written", len(made.partitions))]
    table(f"Generated into {catalog}", ["what", "count"], rows)


@data_group.command("verify", short_help="Check every file of the catalog.")
@catalog_option
@click.pass_context
def verify_command(ctx: click.Context, catalog: Path) -> None:
    """Check every file of the catalog: checksums, order, unique rows, dates, grid and prices.

    The exit code is 1 if there is a problem. Nothing is changed; to repair a damaged file, import its source again.

    \b
    Example:
      mismartera data verify --catalog data/catalog
    """
    from mismartera.engine.data.catalog import Catalog
    from mismartera.engine.data.verify import verify

    with progress("Verifying") as update:
        summary = verify(Catalog(catalog), progress=update)
    for problem in summary.problems:
        say(f"{problem.path}: {problem.problem}")
    if others := summary.without_checksums:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        say(f"no checksums in {others[0]}{more}: written by another program, so damage may go unnoticed")
    found = len(summary.problems)
    verdict = f"{found} problem{'s' if found > 1 else ''}" if found else "no problem"
    say(f"{summary.partitions:,} partitions, {summary.files:,} files, {summary.rows:,} rows: {verdict}")
    if found:
        ctx.exit(1)
