"""The four threads of a session, and what each does."""
