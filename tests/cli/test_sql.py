"""`mismartera sql`: what it answers, in which form, from a pipe and at the prompt."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import stat
import subprocess
import sys

import click
import polars as pl
import pytest
from click.testing import CliRunner

from mismartera.cli.chart import bar_chart
from mismartera.cli.main import cli
from mismartera.cli.sql_prompt import Prompt, read_query, words
from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.system.system_manager import SystemManager
from mismartera.sql.catalog.open_catalog import open_catalog
from mismartera.sql.tables import SQL_TABLES

COUNT = (
    "SELECT symbol, count(*) AS bars, sum(volume) AS volume FROM session_bars WHERE interval = '1m' "
    "GROUP BY ALL ORDER BY symbol"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sql")
    generate(
        Catalog(folder / "catalog"), ["AAPL", "RIVN"], dt.date(2025, 7, 1), dt.date(2025, 7, 2), seed=1, missing=0.02
    )
    session = {"symbols": ["RIVN", "AAPL"], "streams": ["1m"]}
    window = {"start_date": "2025-07-02", "end_date": "2025-07-02"}
    config = {"session_name": "cli", "backtest_config": window, "session_data_config": session}
    (folder / "session.json").write_text(json.dumps(config))
    system = SystemManager(folder / "session.json", folder / "catalog")
    system.run()
    system.export_status(folder / "state.json")
    return folder


@pytest.fixture
def ask(place):
    def run(*arguments, stdin=None, code=0):
        result = CliRunner().invoke(cli, ["sql", *map(str, arguments)], input=stdin)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture(params=["catalog", "exports", "config"])
def source(request, place):
    return {
        "catalog": ["--catalog", place / "catalog"],
        "exports": ["--exports", place / "state.json"],
        "config": ["--config", place / "session.json", "--catalog", place / "catalog"],
    }[request.param]


def wanted(place):
    (file,) = (place / "catalog").rglob("date=2025-07-02/*.parquet")
    bars = pl.read_parquet(file).group_by("symbol").agg(pl.len().cast(pl.Int64).alias("bars"), pl.col("volume").sum())
    return bars.sort("symbol").rows()


def test_a_pipe_that_is_no_text_is_told(place):
    command = [sys.executable, "-m", "mismartera", "sql", "--catalog", str(place / "catalog")]
    done = subprocess.run(command, input=b"\xff\xfe", capture_output=True, check=False)
    assert done.returncode == 2
    assert b"is no UTF-8 text" in done.stderr


def test_json_from_each_source(ask, source, place):
    answer = json.loads(ask(COUNT, *source, "--format", "json").stdout)
    assert [tuple(row.values()) for row in answer] == wanted(place)


def test_a_table_to_read(ask, place):
    out = ask(COUNT, "--catalog", place / "catalog").stdout
    assert "symbol" in out
    assert f"{wanted(place)[0][2]:,}" in out
    assert out.endswith("(2 rows)\n")


def test_csv(ask, place):
    found = pl.read_csv(ask(COUNT, "--catalog", place / "catalog", "--format", "csv").stdout_bytes)
    assert found.rows() == wanted(place)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_binary_forms_into_a_pipe(ask, place, form):
    raw = ask(COUNT, "--catalog", place / "catalog", "--format", form).stdout_bytes
    read = pl.read_parquet if form == "parquet" else pl.read_ipc_stream
    assert read(io.BytesIO(raw)).rows() == wanted(place)


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet", "arrow", "arrows"])
def test_the_suffix_of_the_file_is_its_form(ask, place, tmp_path, suffix):
    file = tmp_path / f"answer.{suffix}"
    assert ask(COUNT, "--catalog", place / "catalog", "-o", file).stdout == ""
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "json": pl.read_json}.get(suffix, pl.read_ipc_stream)
    assert read(file).rows() == wanted(place)


def test_until_stops_the_session_there(ask, place):
    source = ["--config", place / "session.json", "--catalog", place / "catalog", "--until", "2025-07-02T10:00"]
    answer = json.loads(ask("SELECT max(available_at) AS last FROM bars", *source, "--format", "json").stdout)
    assert answer == [{"last": "2025-07-02T10:00:00-04:00"}]


def test_statements_from_a_pipe(ask, place):
    out = ask("--catalog", place / "catalog", stdin="SELECT 1 AS a;\nSELECT 2 AS b;\n").stdout
    assert [line.strip() for line in out.splitlines() if line.strip() in "ab12"] == ["a", "1", "b", "2"]


SCRIPT = """
.tables
SELECT count(*) -- ; not yet
    AS seen
FROM symbols;
.schema gaps
@worst_quality;
  .help
SELECT ';
.tables' AS text;
.quit
SELECT 1 AS never;
"""


def test_dot_commands_and_ready_queries_are_lines_of_a_script(ask, place):
    out = ask("--catalog", place / "catalog", stdin=SCRIPT).stdout
    told = ["a row is", "seen", "gaps: a run of expected bars", "gap_count", "describe the columns", " text "]
    assert sorted(map(out.index, told)) == list(map(out.index, told))
    assert "never" not in out
    assert "session_bars: " not in out


def test_texts_go_through_as_they_are(ask, place):
    text = "a\r\nb\rc\x0bd\x0ce\x1cf\x85g\u2028h\u2029i\u00a0j"
    source = ["--catalog", place / "catalog", "--format", "json"]
    assert json.loads(ask(f"SELECT '{text}' AS x", *source).stdout) == [{"x": text}]
    assert json.loads(ask(*source, stdin=f"SELECT '{text}' AS x;".encode()).stdout) == [{"x": text}]


@pytest.mark.parametrize(
    ("date", "nearest"), [("2025-06-28", "2025-07-01"), ("2030-01-01", "2025-07-02"), ("2025-07-02", None)]
)
def test_a_session_that_is_not_stored_is_told_with_the_nearest(ask, place, date, nearest):
    result = ask("SELECT 1", "--catalog", place / "catalog", "--session", date, code=int(nearest is not None))
    assert nearest is None or result.stderr.splitlines()[0].endswith(f"the nearest: {nearest}")


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet", "arrow"])
def test_whoever_reads_on_may_stop(place, form):
    """Many rows into a pipe that is closed at its first bytes: no word of an error."""
    query = "SELECT a.symbol, b.close FROM bars a CROSS JOIN range(200) t(i) JOIN bars b USING (symbol, timestamp)"
    words = [sys.executable, "-m", "mismartera", "sql", query, "--catalog", str(place / "catalog"), "--format", form]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(1)
        process.stdout.close()
        told = process.stderr.read()
    assert (told, process.returncode) in {(b"", 1), (b"", 0)}


def test_numbers_of_any_size_are_short_in_a_table(ask, place):
    query = "SELECT 1e300::DOUBLE AS a, -2.5e16::DOUBLE AS b, 123456789012345.5::DOUBLE AS c, 'inf'::DOUBLE AS d"
    out = ask(query, "--catalog", place / "catalog").stdout
    assert out.splitlines()[2].split() == ["1e+300", "-2.5e+16", "123,456,789,012,345.5", "inf"]


def test_a_script_stops_at_its_first_error(ask, place):
    result = ask("--catalog", place / "catalog", stdin="SELECT 1 AS one;\n.schema brs\nSELECT 2 AS two;", code=1)
    assert "one" in result.stdout
    assert "two" not in result.stdout
    assert result.stderr.startswith("error: table 'brs' does not exist; did you mean 'bars'")


@pytest.mark.parametrize(
    "arguments", [["@worst_qualty"], ["@worst_qualty;\nSELECT 1"], ["SELECT 1;\n@worst_qualty"], ["@worst_quality x"]]
)
def test_a_typo_in_a_ready_query_names_the_nearest(ask, place, arguments, capsys):
    told = "does not exist; did you mean '@worst_quality'?"
    assert told in ask(*arguments, "--catalog", place / "catalog", code=1).stderr
    assert told in ask("--catalog", place / "catalog", stdin=arguments[0], code=1).stderr
    with open_catalog(place / "catalog") as session:
        assert Prompt(session).answer(arguments[0])
    assert told in capsys.readouterr().err


def test_a_ready_query_and_a_chart(ask, place):
    out = ask("@volume_profile", "--plot", "share", "--catalog", place / "catalog").stdout
    assert out.startswith("share\n09:30 █")
    assert len(out.splitlines()) == 14


def test_tables_and_examples_are_told(ask):
    out = ask("--tables", "--examples").stdout
    for name, table in SQL_TABLES.items():
        assert f"{name}: {table.description}" in out
    assert "@worst_quality: " in out
    assert "FROM quality" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["SELECT * FROM brs"], 1, "error: table 'brs' does not exist; did you mean 'bars'?"),
        (["SELECT opn FROM bars"], 1, "error: column 'opn' does not exist; did you mean 'open'?"),
        (["COPY bars TO 'x'"], 1, "error: COPY is refused"),
        (["@worst"], 1, "error: ready query '@worst' does not exist"),
        ([".table"], 1, "error: command '.table' does not exist; did you mean '.tables'?"),
        (["SELECT 1\n.tables"], 1, "error: .tables stands in the midst of a statement"),
        ([".tables", "--format", "csv"], 2, "error: .tables prints text to read"),
        (["SELECT 1", "--plot", "x", "-o", "x.csv"], 2, "error: --plot draws the answer"),
        (["SELECT 1", "--until", "2025-07-02T10:00"], 2, "error: --until goes with --config"),
        (["SELECT 1", "--as-of", "2"], 2, "error: --as-of goes with --exports"),
        (["SELECT 1", "--exports", "x", "--session", "2025-07-02"], 2, "error: --session goes with the catalog"),
        (["SELECT 1", "--plot", "x"], 1, "error: column of numbers 'x' does not exist"),
        (["SELECT 1", "-o", "x.doc"], 1, "error: format 'doc' does not exist"),
        (["SELECT 1; SELECT 2", "--format", "csv"], 2, "error: 2 statements, but one file"),
        (
            ["SELECT count(*) FROM bars a, bars b, bars c, bars d", "--timeout", "0.2"],
            1,
            "error: the query reached its time",
        ),
        (
            ["SELECT count(DISTINCT hash(i)) FROM range(100000000) t(i)", "--memory-limit", "50MB"],
            1,
            "error: the query reached its memory",
        ),
        (["SELECT * FROM range(5)", "--max-rows", "4"], 1, "error: the answer has more than 4 rows"),
        (
            ["SELECT 1", "--session", "2025-06-28"],
            1,
            "error: session 2025-06-28 (Saturday): expected one that is stored",
        ),
        (["SELECT 1", "--memory-limit", "much"], 1, "error: limits of a query"),
        ([""], 2, "error: no query"),
        (["SELECT 1", "--exports", "nowhere"], 1, "error: nowhere is no export: it cannot be read: No such file"),
        (["SELECT 1", "--exports", "x", "--config", "y"], 2, "error: --exports and --config are two things"),
    ],
)
def test_errors_are_a_line(ask, place, arguments, code, message):
    result = ask(*arguments, "--catalog", place / "catalog", code=code)
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr


def test_a_file_that_cannot_be_written_is_told(ask, place, tmp_path):
    result = ask("SELECT 1", "--catalog", place / "catalog", "-o", tmp_path / "no" / "x.csv", code=1)
    assert "No such file" in result.stderr


TWINS = "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a"


def test_columns_of_one_name_are_told_apart_in_every_form(ask, place):
    def answer(form):
        return ask(TWINS, "--catalog", place / "catalog", "--format", form).stdout_bytes

    wanted = {"a": 1, "a_2": 2, "a_1": 3, "a_3": 4}
    assert json.loads(answer("json")) == [wanted]
    assert answer("csv") == b"a,a_2,a_1,a_3\n1,2,3,4\n"
    assert pl.read_parquet(io.BytesIO(answer("parquet"))).to_dicts() == [wanted]
    assert pl.read_ipc_stream(io.BytesIO(answer("arrow"))).to_dicts() == [wanted]
    assert answer("table").decode().split()[:4] == list(wanted)
    chart = ask("SELECT 'x' AS a, 'y' AS a, 1 AS n, 2 AS n", "--plot", "n_1", "--catalog", place / "catalog").stdout
    assert chart == f"n_1\nx y {'█' * 50} 2\n"


@pytest.mark.parametrize(
    ("value", "text", "parsed"),
    [
        ("INTERVAL 1 MINUTE", "00:01:00", "00:01:00"),
        ("-INTERVAL '90.5 seconds'", "-00:01:30.5", "-00:01:30.5"),
        ("INTERVAL '14 months 1 day'", "1 year 2 months 1 day", "1 year 2 months 1 day"),
        ("INTERVAL '-14 months -3 days'", "-1 year -2 months -3 days", "-1 year -2 months -3 days"),
        ("INTERVAL '0 days'", "00:00:00", "00:00:00"),
        ("[1, 2]", '"[1,2]"', [1, 2]),
        ("{'x': 1, 'd': INTERVAL 1 DAY}", '"{""x"":1,""d"":""1 day""}"', {"x": 1, "d": "1 day"}),
        ("MAP {'k': 1}", '"[[""k"",1]]"', [["k", 1]]),
        ("'a\\xFF'::BLOB", "a\\xFF", "a\\xFF"),
        ("TIMESTAMP '2025-07-01 10:00:00'", "2025-07-01T10:00:00.000000", "2025-07-01T10:00:00"),
    ],
)
def test_values_of_every_type_are_written(ask, place, value, text, parsed):
    def answer(form):
        return ask(
            f"SELECT {value} AS v UNION ALL SELECT NULL", "--catalog", place / "catalog", "--format", form
        ).stdout

    assert answer("csv").splitlines()[:2] == ["v", text]
    assert json.loads(answer("json")) == [{"v": parsed}, {"v": None}]
    assert "MonthDayNano" not in answer("table")


def test_a_duration_is_a_text_in_parquet(ask, place, tmp_path):
    ask("SELECT INTERVAL 1 MINUTE AS v", "--catalog", place / "catalog", "-o", tmp_path / "v.parquet")
    assert pl.read_parquet(tmp_path / "v.parquet").to_dicts() == [{"v": "00:01:00"}]


@pytest.mark.parametrize(
    ("query", "form", "message"),
    [
        ("SELECT [INTERVAL 1 DAY] AS v", "parquet", "error: parquet cannot hold the answer: "),
        ("SELECT 'infinity'::TIMESTAMP AS v", "csv", "error: csv cannot hold column 'v': expected years 1 to 9999"),
        ("SELECT 'infinity'::DATE AS v", "json", "error: json cannot hold column 'v': expected years 1 to 9999"),
    ],
)
def test_an_answer_that_cannot_be_written_leaves_the_file_as_it_was(ask, place, tmp_path, query, form, message):
    file = tmp_path / f"answer.{form}"
    file.write_text("before")
    assert ask(query, "--catalog", place / "catalog", "-o", file, code=1).stderr.startswith(message)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "before"


def test_a_file_that_is_replaced_keeps_its_mode_and_a_link_its_target(ask, place, tmp_path):
    (tmp_path / "real.csv").write_text("before")
    (tmp_path / "real.csv").chmod(0o640)
    (tmp_path / "link.csv").symlink_to("real.csv")
    ask("SELECT 1 AS a", "--catalog", place / "catalog", "-o", tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "a\n1\n"
    assert stat.S_IMODE((tmp_path / "real.csv").stat().st_mode) == 0o640


def test_a_device_is_written_not_replaced(ask, place):
    ask("SELECT 1 AS a", "--catalog", place / "catalog", "-o", os.devnull, "--format", "csv")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_infinity_and_nan_have_no_bar(ask, place):
    query = (
        "SELECT * FROM (VALUES ('a', 'inf'::DOUBLE), ('b', 'nan'::DOUBLE), ('c', '-inf'::DOUBLE), ('d', 2.0)) t(s, v)"
    )
    out = ask(query, "--plot", "v", "--catalog", place / "catalog").stdout
    assert out.splitlines() == ["v", "a inf", "b nan", "c -inf", f"d {'█' * 50} 2"]


def test_what_is_no_utf8_is_told(monkeypatch):
    for errors in ("strict", "surrogateescape"):
        piped = io.TextIOWrapper(io.BytesIO(b"SELECT \xff"), encoding="utf-8", errors=errors)
        monkeypatch.setattr(sys, "stdin", piped)
        with pytest.raises(click.UsageError, match=r"standard input is no UTF-8 text: .* at 7"):
            read_query(None)
    with pytest.raises(click.UsageError, match="the query is no UTF-8 text"):
        read_query("SELECT \udcff")
    assert read_query("SELECT 1") == "SELECT 1"


def test_the_prompt_answers_and_goes_on(place, capsys):
    with open_catalog(place / "catalog") as session:
        prompt = Prompt(session)
        for text in (
            "SELECT 1 AS one;",
            "SELECT nothing;",
            "@worst_quality",
            ".tables",
            ".schema gaps",
            ".help",
            "",
            "SELECT 2 AS two;\n.tables",
            ".x",
        ):
            assert prompt.answer(text)
        assert prompt.answer(".schema brs")
        assert prompt.answer(".examples")
        assert not prompt.answer(".quit")
    out, err = capsys.readouterr()
    assert "one" in out
    assert "two" in out
    assert "gaps: a run of expected bars that are missing" in out
    assert "session_bars: " not in out
    assert 'error: Binder Error: Referenced column "nothing" was not found because the FROM clause is missing' in err
    assert "error: command '.x' does not exist" in err
    assert "error: table 'brs' does not exist; did you mean 'bars'" in err


def test_tables_columns_and_keywords_are_completed():
    assert {"session_bars", "available_at", ".schema", "@worst_quality", "SELECT"} <= set(words())


def test_the_prompt_reads_a_terminal(place, tmp_path):
    """Typed into a pseudo-terminal: a statement of two lines, then the end of input."""
    code = (
        "import os, pty, sys, time\n"
        "pid, fd = pty.fork()\n"
        "if not pid:\n"
        "    os.environ.update(HOME=sys.argv[1], XDG_CONFIG_HOME=sys.argv[1], TERM='dumb', PROMPT_TOOLKIT_NO_CPR='1')\n"
        "    os.execv(sys.executable, [sys.executable, '-m', 'mismartera', 'sql', '--catalog', sys.argv[2]])\n"
        "out = b''\n"
        "def until(text):\n"
        "    global out\n"
        "    while text not in out: out += os.read(fd, 65536)\n"
        "until(b'sql>'); os.write(fd, b'SELECT count(*)\\r'); time.sleep(0.2)\n"
        "os.write(fd, b'AS seen FROM symbols;\\r')\n"
        "until(b'(1 row)'); os.write(fd, b'.quit\\r')\n"
        "print(os.waitpid(pid, 0)[1], b'seen' in out)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(place / "catalog")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["0", "True"], done.stdout + done.stderr
    assert "SELECT count(*)" in next(tmp_path.rglob("sql_history")).read_text()


def test_a_chart_of_negative_missing_and_many_values():
    assert bar_chart(["a", "b", "c"], [-1.0, None, 1.0], "t") == ["t", "a -1", "b –", "c " + "█" * 50 + " 1"]
    lines = bar_chart([str(n) for n in range(70)], [1.0] * 70, "t")
    assert (len(lines), lines[-1]) == (62, "… 10 more")
    assert bar_chart([], [], "t") == ["t"]
    far = bar_chart(["a", "b"], [-1.7e308, 1.7e308], "t")
    assert far == ["t", "a -1.7e+308", f"b {'█' * 50} 1.7e+308"]
