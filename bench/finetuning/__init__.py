"""Fine-tuning: one arm (decoder, taps, tuning) from settings to a trained task model."""
