"""Exports on disk: formats, file names, atomic writes of files and folders."""
