"""Scripts: where a statement ends, and which lines are commands."""

from __future__ import annotations

import pytest

from mismartera.sql.errors import QueryError
from mismartera.sql.script import is_whole, split_script


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", True),
        ("-- a comment", True),
        (".tables", True),
        ("@worst_quality", True),
        ("SELECT 1;", True),
        ("SELECT\n1 ; ", True),
        ("SELECT 1; -- the first", True),
        ("SELECT 'it''s;';", True),
        ("SELECT $$;$$;", True),
        ("SELECT 1;\n.tables", True),
        ("SELECT 1", False),
        ("SELECT 1 -- ;", False),
        ("SELECT 1 -- one\r;", True),
        ("SELECT ';", False),
        ("SELECT 'it''s;'", False),
        ('SELECT ";', False),
        ("SELECT 1 /* ;", False),
        ("SELECT $a$ ; $$;", False),
        ("SELECT 1\n.tables", False),
    ],
)
def test_a_statement_ends_with_its_semicolon(text, whole):
    assert is_whole(text) is whole


ENDS = ["\r\n", *"\r\x0b\x0c\x1c\x85\u2028\u2029"]
"""What may pass for the end of a line."""


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT\n2;", ["SELECT 1", "SELECT\n2"]),
        (".tables\n  .schema bars gaps ;\n@one;", [".tables", ".schema bars gaps", "@one"]),
        ("SELECT 1;\n.help\nSELECT 2", ["SELECT 1", ".help", "SELECT 2"]),
        ("-- first\n.help\n/* then */ SELECT 2", [".help", "SELECT 2"]),
        ("SELECT '\n.help\n';", ["SELECT '\n.help\n'"]),
        ("/*\n.help\n*/ SELECT 1", ["SELECT 1"]),
        ("SELECT [1, 2]\n.list_sum()", ["SELECT [1, 2]\n.list_sum()"]),
        ("SELECT\n@ -5 AS five", ["SELECT\n@ -5 AS five"]),
        (".tables\r\nSELECT 1;\r\n@one\r\n", [".tables", "SELECT 1", "@one"]),
        *((f"SELECT 'a{end}.help{end}b'", [f"SELECT 'a{end}.help{end}b'"]) for end in ENDS),
    ],
)
def test_a_script_is_split(text, pieces):
    assert split_script(text) == pieces


def test_a_command_within_a_statement_is_told():
    with pytest.raises(QueryError, match=r"^\.help stands in the midst of a statement$"):
        split_script("SELECT 1\n.help")
