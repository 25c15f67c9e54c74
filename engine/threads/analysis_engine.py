"""`AnalysisEngine`: calls the user's analyses on each step, on the published snapshot."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.time.clock import Stopwatch
from mismartera.schemas.errors import DataError, StateError
from mismartera.schemas.interval import Interval

from .analysis_context import AnalysisContext, AskSql, Seen, is_name
from .worker import Worker

_LOG = logging.getLogger(__name__)

Analysis = Callable[[AnalysisContext], object]
OnError = Literal["raise", "count"]


@dataclass(slots=True)
class _Registered:
    """One analysis, what it recorded and how it fared."""

    name: str
    call: Analysis
    every: Interval | None
    seen: Seen = field(default_factory=Seen)
    calls: int = 0
    errors: int = 0
    last_error: str | None = None
    seconds: float = 0.0
    records: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)

    def record(self, now_us: int, name: str, value: float) -> None:
        instants, values = self.records.setdefault(name, ([], []))
        instants.append(now_us)
        values.append(value)


class AnalysisEngine(Worker):
    """Runs analyses step by step, in the order they were added.

    Parameters
    ----------
    on_error : {"raise", "count"}
        Whether an exception in an analysis stops the run, with its own traceback, or is counted and logged.

    Attributes
    ----------
    sql : callable or None
        Answers what analyses ask with `AnalysisContext.sql`; set by whoever owns the engine.
    """

    def __init__(self, on_error: OnError = "raise") -> None:
        super().__init__("AnalysisEngine")
        self._on_error = on_error
        self.sql: AskSql | None = None
        self._analyses: list[_Registered] = []

    def add(
        self, analysis: Analysis | type, *, every: Interval | int | str | None = None, name: str | None = None
    ) -> None:
        """Register an analysis.

        Parameters
        ----------
        analysis : callable or class
            Called with an `AnalysisContext`; of a class an instance is made, and the instance is called.
        every : Interval, int or str, optional
            Call it only when a bar of this length ends; by default on every step.
        name : str, optional
            By default its ``__name__``.
        """
        call: Any = analysis() if isinstance(analysis, type) else analysis
        if not callable(call):
            raise StateError(f"analysis {analysis!r} cannot be called: expected a function or a class with __call__")
        title = getattr(analysis, "__name__", type(analysis).__name__) if name is None else name
        if not is_name(title):
            raise DataError(f"{title!r}: expected a name for the analysis, a text that can be read")
        if any(held.name == title for held in self._analyses):
            raise StateError(
                f"an analysis named {title!r} exists already", hint="give the second one a name of its own"
            )
        self._analyses.append(_Registered(title, call, None if every is None else Interval(every)))

    @property
    def idle(self) -> bool:
        """Whether there is no analysis to run."""
        return not self._analyses

    def step(self, snapshot: Snapshot) -> None:
        """Run every analysis that is due on `snapshot` and return when all are done; raises what one of them raised."""
        due = [analysis for analysis in self._analyses if _is_due(analysis, snapshot)]
        if due:
            self.submit(lambda: self._run_all(due, snapshot)).result()

    def get_records(self, analysis: str | None = None) -> pl.DataFrame:
        """Return what analyses recorded.

        Returns
        -------
        polars.DataFrame
            ``analysis``, ``name``, ``timestamp`` (UTC microseconds), ``value`` (float64), in the order of recording
            within a name.
        """
        frames = [
            pl.DataFrame(
                {"timestamp": instants, "value": values}, schema={"timestamp": pl.Int64, "value": pl.Float64}
            ).select(
                pl.lit(held.name).alias("analysis"),
                pl.lit(name).alias("name"),
                pl.col("timestamp").cast(pl.Datetime("us", "UTC")),
                "value",
            )
            for held in self._analyses
            if analysis in (None, held.name)
            for name, (instants, values) in held.records.items()
        ]
        schema: dict[str, Any] = {
            "analysis": pl.String,
            "name": pl.String,
            "timestamp": pl.Datetime("us", "UTC"),
            "value": pl.Float64,
        }
        return pl.concat(frames) if frames else pl.DataFrame(schema=schema)

    def get_statistics(self) -> dict[str, dict[str, Any]]:
        """Return calls, errors, seconds and the latest of each recorded value (None for NaN), by analysis."""
        return {
            held.name: {
                "calls": held.calls,
                "errors": held.errors,
                "last_error": held.last_error,
                "seconds": round(held.seconds, 6),
                "latest": {name: _finite(values[-1]) for name, (_, values) in held.records.items()},
            }
            for held in self._analyses
        }

    def to_json(self, complete: bool = True, debug: bool = False) -> dict[str, Any]:
        """Return the thread's section of an export; debug adds each analysis's figures, `complete` changes nothing."""
        section = super().to_json(complete, debug)
        return section | ({"performance": self.get_statistics()} if debug else {})

    def _run_all(self, due: list[_Registered], snapshot: Snapshot) -> None:
        for held in due:
            context = AnalysisContext(snapshot, held.seen, held.record, self.sql)
            watch = Stopwatch()
            try:
                held.call(context)
            except Exception as error:
                held.errors += 1
                held.last_error = _encodable(f"{type(error).__name__}: {error}")
                if self._on_error == "raise":
                    raise
                if held.errors == 1:  # the statistics count the others
                    _LOG.warning(
                        "analysis %s failed at %s: %s; its errors are counted, and the run goes on",
                        held.name, context.now.isoformat(), " ".join(held.last_error.split()),
                    )  # fmt: skip
                _LOG.debug("analysis %s failed at %s", held.name, context.now, exc_info=True)
            finally:
                held.calls += 1
                held.seconds += watch.elapsed_s
                held.seen = Seen.of(snapshot)


def _encodable(text: str) -> str:
    """Return a text with its lone surrogates written out: exports are UTF-8, and an error's text may be anything."""
    return text.encode(errors="backslashreplace").decode()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _is_due(analysis: _Registered, snapshot: Snapshot) -> bool:
    """Return whether a bar of the analysis's interval ends now: those at a close that cuts them short too."""
    if analysis.every is None or snapshot.session is None:
        return True
    now, every = snapshot.now_us, analysis.every
    if every.is_daily:
        return now == snapshot.session.close_us
    return any(
        opened < now <= closed and ((now - opened) % every.us == 0 or now == closed)
        for opened, closed in snapshot.session.segments + snapshot.session.extended
    )
