"""What is written: boards, pages, statistics in words, comparisons."""
