"""`SystemManager`: a whole session under one handle."""
