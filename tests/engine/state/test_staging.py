"""Rows of a catalog whose values can be no bar's: left out, counted, told."""

from __future__ import annotations

import json
import logging
import math

import pyarrow.parquet as pq
import pytest

from tests.contract import load_contract
from tests.golden.small import make_system, minutes, table

DAY = "2024-07-02"
BROKEN = {
    "NaN": {"close": math.nan},
    "infinite": {"high": math.inf},
    "minus infinite": {"low": -math.inf},
    "high below low": {"high": 1.0},
    "close above high": {"close": 1e6},
    "negative volume": {"volume": -1},
}


@pytest.mark.parametrize("values", BROKEN.values(), ids=list(BROKEN))
def test_what_is_no_bar_is_a_gap(tmp_path, caplog, values):
    rows = minutes("AAPL", f"{DAY}T09:30-04:00", 10)
    make_system(tmp_path, rows, DAY)
    (path,) = (tmp_path / "catalog").rglob("*.parquet")
    broken = [dict(zip(table(rows).column_names, row, strict=True)) for row in rows]
    broken[4] |= values
    pq.write_table(table([tuple(row.values()) for row in broken]), path)
    system = make_system(tmp_path, [], DAY, symbols=["AAPL"])
    with caplog.at_level(logging.WARNING):
        system.run(f"{DAY}T09:40")
    summary = system.get_backtest_summary()
    assert (summary["rows"]["1m"], summary["missing_bars"]["1m"], summary["rows_invalid"]) == (9, 1, 1)
    assert "1 rows of 2024-07-02 are left out" in caplog.text
    assert "data verify" in caplog.text
    document = system.export(complete=True).to_json()
    json.dumps(document, allow_nan=False)
    assert load_contract().problems(document) == []
