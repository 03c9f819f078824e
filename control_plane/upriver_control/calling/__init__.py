"""The control plane calls agents: whom it may call and how, and what operators have it ask of them."""
