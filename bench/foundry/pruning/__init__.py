"""Methods of the pruning recipe: which parameters go, how budgets are met, and how the rest recovers."""
