"""The exchange groups a session can run on, each with its calendar and its hours outside the regular session."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExchangeGroup:
    """A group of exchanges that share one calendar.

    Attributes
    ----------
    name : str
        As a configuration says it, ``"US_EQUITY"``.
    calendar : str
        Name of the calendar in `exchange_calendars`: an ISO 10383 market identifier.
    extended : tuple of two times, or None
        Local start of pre-market and end of after-hours trading; None where there is none.
    early_extended_stop : time, optional
        Local end of after-hours trading on a day of early close; None where it is the end of every day.

    Notes
    -----
    In the United States the late trading session lasts until 20:00, and until 17:00 where the market closes at 13:00:
    "NYSE American Equities, NYSE Arca Equities, NYSE Chicago, and NYSE National late trading sessions will close at
    5:00 pm" (NYSE Group, holiday and early closings calendar, announcement of 27 December 2021).
    """

    name: str
    calendar: str
    extended: tuple[dt.time, dt.time] | None = None
    early_extended_stop: dt.time | None = None


EXCHANGE_GROUPS = {
    group.name: group
    for group in (
        ExchangeGroup("US_EQUITY", "XNYS", (dt.time(4), dt.time(20)), early_extended_stop=dt.time(17)),
        ExchangeGroup("CA_EQUITY", "XTSE"),
        ExchangeGroup("UK_EQUITY", "XLON"),
        ExchangeGroup("DE_EQUITY", "XETR"),
        ExchangeGroup("FR_EQUITY", "XPAR"),
        ExchangeGroup("JP_EQUITY", "XTKS"),
        ExchangeGroup("HK_EQUITY", "XHKG"),
        ExchangeGroup("CN_EQUITY", "XSHG"),
        ExchangeGroup("IN_EQUITY", "XBOM"),
        ExchangeGroup("AU_EQUITY", "XASX"),
    )
}
