"""What goes wrong with a query, as errors a person can act on."""

from __future__ import annotations

from mismartera.schemas.errors import MismarteraError


class QueryError(MismarteraError, ValueError):
    """A query that cannot be answered: wrong SQL, or values that do not fit."""


class QueryRefusedError(QueryError):
    """A query that asks for more than to read the tables, and was not run."""


class QueryStoppedError(QueryError):
    """A query that reached its limit of time, memory or rows and was stopped."""
