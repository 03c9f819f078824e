"""What was learnt here, pooled with others' tier by tier: sums go up, inputs never do."""
