"""Numbers from arrays: intervals, ranks, power, variance components."""
