"""Data frames made from records: leaderboard, layer profiles and breakdowns."""
