"""Where runs happen, one file per executor."""
