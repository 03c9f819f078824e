"""Generated code of upriver.v1: the control plane's and the agents' own services."""
