"""Collections of models: files of weights, their catalogue, lineage and spectra."""
