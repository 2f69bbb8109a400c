"""Model families: one file each, with `ENTRIES` (facts) and a load function whose heavy imports stay inside it."""
