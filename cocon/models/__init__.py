"""The networks: one encoder, aggregator and predictor per view."""
