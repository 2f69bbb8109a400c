"""One frozen pass of a backbone, and the features it leaves."""
