"""`mismartera data`: import, list, make up and verify the catalog's bars, ticks and quotes."""

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
    """Import, list, make up and verify the catalog's bars, ticks and quotes.

    The catalog is a folder of plain Parquet, one file per interval and date, that DuckDB, Polars and Spark read as
    it is. By default it is data/catalog, or what MISMARTERA_CATALOG says.

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
    help="How PATH is written; csv may be gzipped or zipped.",
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
    help="What the rows are.",
)
@click.option(
    "--symbol",
    metavar="SYMBOL",
    help="Whose rows they are, if PATH has no symbol column; a column that says otherwise is an error. Of lean: import "
    "only this one.",
)
@click.option(
    "--tz",
    metavar="ZONE",
    help="Zone of time stamps that carry none, such as America/New_York.  [default: UTC; lean: America/New_York]",
)
@click.option(
    "--stamp",
    type=click.Choice(["start", "end"]),
    default="start",
    show_default=True,
    help="What the time stamp of a bar marks in PATH; the catalog keeps the start.",
)
@click.option(
    "--date-format",
    metavar="FORMAT",
    help="How time stamps are written, such as '%d/%m/%Y %H:%M'.  [default: ISO 8601, and others with the year first]",
)
@click.option(
    "--delimiter",
    metavar="CHARACTER",
    help="What stands between the fields of csv, such as ';' or '\\t' (a tab). By default it is found out.",
)
@click.option(
    "--columns",
    metavar="COLUMNS",
    help='Which column is which: "ticker=symbol,o=open,…" by the names in PATH, or "symbol,timestamp,open,…" by their '
    "order; - in place of one of our names ignores a column. By default they are told by their usual names.",
)
@catalog_option
def import_command(path: Path, form: Any, catalog: Path, **options: Any) -> None:
    """Import PATH, a file or a folder of them, into the catalog.

    Bars need the columns timestamp, open, high, low, close and volume; ticks timestamp, price, size and, if there is
    one, exchange; quotes timestamp, bid, ask, bid_size and ask_size. A date and a time may stand in two columns.

    Rows are checked first: those that cannot be right go to a file in quarantine/ with the reason each, and the
    summary counts them. Importing again is safe: rows replace those of the same symbol and time, and what is
    unchanged is not touched.

    \b
    Examples:
      One symbol, semicolons, no header, stamped at the bar's end in UTC:
        mismartera data import spy.csv --format csv --symbol SPY --stamp end --tz UTC
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


@data_group.command("generate", short_help="Make up bars of whole sessions.")
@click.option(
    "--symbols",
    metavar="N|A,B",
    default="10",
    show_default=True,
    help="How many symbols (named SYM0001, …), or their names: AAPL,MSFT,BRK.B",
)
@click.option("--start", type=_DATE, required=True, metavar="YYYY-MM-DD", help="First day.")
@click.option("--end", type=_DATE, required=True, metavar="YYYY-MM-DD", help="Last day, included.")
@click.option("--interval", metavar="INTERVAL", default="1m", show_default=True, help="Length of the bars.")
@click.option(
    "--exchange-group",
    metavar="GROUP",
    default="US_EQUITY",
    show_default=True,
    help="Exchanges whose days and hours hold, such as US_EQUITY, JP_EQUITY or HK_EQUITY.",
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed makes the same bars; another one, others.",
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
@click.option("--daily", is_flag=True, help="Add the 1d bars made of these bars.")
@click.option("--ticks", is_flag=True, help="Add a few trades per bar.")
@click.option("--quotes", is_flag=True, help="Add a few quotes per bar.")
@catalog_option
def generate_command(symbols: str, start: dt.datetime, end: dt.datetime, catalog: Path, **options: Any) -> None:
    """Make up sessions: plausible bars with gaps, holidays, early closes and lunch breaks where the exchange has them.

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
    """Check every file of the catalog: readable, sorted, unique, on its date and grid, prices in order.

    Exit code 1 if anything is wrong. Nothing is changed; import the source of a damaged file again to mend it.

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
        say(f"no checksums, so damage may go unnoticed, in {others[0]}{more}: written by another program")
    found = len(summary.problems)
    verdict = f"{found} problem{'s' if found > 1 else ''}" if found else "no problem"
    say(f"{summary.partitions:,} partitions, {summary.files:,} files, {summary.rows:,} rows: {verdict}")
    if found:
        ctx.exit(1)
