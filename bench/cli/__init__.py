"""The commands, one file each, with their help and the handling of arguments."""
