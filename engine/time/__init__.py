"""The only place that knows a clock or an exchange's calendar."""
