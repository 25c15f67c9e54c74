"""`SessionData`: the state of the current session and its history, written by one thread and read by any."""
