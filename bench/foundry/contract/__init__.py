"""What every recipe of the foundry shares."""
