"""Exports: the row text, the sections, the document, and the files they become."""
