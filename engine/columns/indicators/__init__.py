"""Historical indicators: figures over the sessions before the current one, of all symbols at once.

An indicator is a module here with ``compute(past: Past) -> Floats``, and a line in
`mismartera.schemas.indicators.INDICATOR_TYPES` that names it.
"""
