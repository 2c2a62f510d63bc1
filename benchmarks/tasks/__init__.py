"""Multi-step tasks over the first-party toolkits, each with a check of its answer."""
