"""Heads of regions, made: fitted from what is pooled, tried, certified and published. What to do is `regional`'s."""
