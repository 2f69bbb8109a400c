"""Parts of the merging recipe: methods, lineage of the members, and batch norms."""
