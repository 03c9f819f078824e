"""Commands for operators, one module for each group. They need the `cli` extra and a control plane to call."""
