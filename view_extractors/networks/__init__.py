"""Networks that views share, their weights, and what runs them."""
