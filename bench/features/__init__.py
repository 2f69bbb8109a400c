"""One pass of a frozen backbone over a split, and the features stored from it."""
