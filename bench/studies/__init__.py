"""Named crosses of settings: ``WORDS`` a study brings, under those the user gives; ``DEMO`` for generated data."""
