"""Pictures and tables of the console: pure functions from data to markup."""
