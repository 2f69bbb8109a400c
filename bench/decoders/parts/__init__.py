"""Parts that decoders share, and the typed noun that each decoder exports."""
