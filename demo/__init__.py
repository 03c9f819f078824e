"""The demo: real digits, models of growing size, agents on one machine, and a control plane that sends them models."""
