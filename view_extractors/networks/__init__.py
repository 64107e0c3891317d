"""Networks that views share, their weights, and the code that runs them."""
