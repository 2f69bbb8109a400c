"""Drawing of figures with matplotlib, from arrays and small dataclasses; one kind of figure per file."""
