"""From a plan to records: what to run, with what, and how each run is carried out."""
