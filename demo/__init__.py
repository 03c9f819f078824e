"""The demo: real digits, four models of growing size, four agents on one machine."""
