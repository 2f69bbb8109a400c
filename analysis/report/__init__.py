"""Reports: boards, pages, statistics in words, and comparisons with published scores."""
