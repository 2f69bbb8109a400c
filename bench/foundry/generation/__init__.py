"""Weight generation: conditions, lineages as codes, candidates, and the arms they are judged against."""
