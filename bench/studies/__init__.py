"""Named crosses of settings, one file each; the words a user gives take precedence over those of a study."""
