"""The command line: click commands over the engine, and nothing the engine needs."""
