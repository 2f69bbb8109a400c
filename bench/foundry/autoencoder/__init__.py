"""The transformer autoencoder of weight tokens: network, loss, training, import of the published state, report."""
