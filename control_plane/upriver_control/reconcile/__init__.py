"""Moving rollouts on: one leader among the control-plane processes steps them, and every process mirrors them."""
