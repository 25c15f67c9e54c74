"""Who takes exports: consumers, the part of a session each is interested in, and the cursor each has reached."""
