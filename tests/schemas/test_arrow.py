"""The Arrow schemas: names, types and which columns may be empty, letter by letter. Files on disk depend on them."""

from __future__ import annotations

import pytest

from mismartera.schemas.bars import BAR_SCHEMA, LOG_BAR_SCHEMA
from mismartera.schemas.gaps import GAP_SCHEMA
from mismartera.schemas.quotes import QUOTE_SCHEMA
from mismartera.schemas.ticks import TICK_SCHEMA

INSTANT = "timestamp[us, tz=UTC]"
PRICES = [("open", "double"), ("high", "double"), ("low", "double"), ("close", "double"), ("volume", "int64")]


@pytest.mark.parametrize(
    ("schema", "columns", "nullable"),
    [
        (BAR_SCHEMA, [("symbol", "string"), ("timestamp", INSTANT), *PRICES], []),
        (
            LOG_BAR_SCHEMA,
            [
                ("timestamp", INSTANT),
                *PRICES,
                ("n_base", "int32"),
                ("n_expected", "int32"),
                ("revision", "int32"),
                ("available_at", INSTANT),
            ],
            [],
        ),
        (
            TICK_SCHEMA,
            [
                ("symbol", "string"),
                ("timestamp", INSTANT),
                ("price", "double"),
                ("size", "int64"),
                ("exchange", "string"),
            ],
            ["exchange"],
        ),
        (
            QUOTE_SCHEMA,
            [
                ("symbol", "string"),
                ("timestamp", INSTANT),
                ("bid", "double"),
                ("ask", "double"),
                ("bid_size", "int64"),
                ("ask_size", "int64"),
            ],
            [],
        ),
        (
            GAP_SCHEMA,
            [
                ("symbol", "string"),
                ("interval", "string"),
                ("start_time", INSTANT),
                ("end_time", INSTANT),
                ("bar_count", "int32"),
                ("retry_count", "int32"),
                ("last_retry", INSTANT),
            ],
            ["last_retry"],
        ),
    ],
    ids=["bars", "log bars", "ticks", "quotes", "gaps"],
)
def test_schema(schema, columns, nullable):
    assert [(field.name, str(field.type)) for field in schema] == columns
    assert [field.name for field in schema if field.nullable] == nullable
