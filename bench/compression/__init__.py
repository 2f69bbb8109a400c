"""One run of the compression study: a smaller network made from a teacher, trained, measured and scored."""
