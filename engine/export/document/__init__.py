"""The JSON document of an export: row text encoded once, the sections made of it, the document around them."""
