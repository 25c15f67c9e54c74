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
    """

    name: str
    calendar: str
    extended: tuple[dt.time, dt.time] | None = None


EXCHANGE_GROUPS = {
    group.name: group
    for group in (
        ExchangeGroup("US_EQUITY", "XNYS", (dt.time(4), dt.time(20))),
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
