"""The formats of exports on disk: a module for each, which writes it and reads it back."""
