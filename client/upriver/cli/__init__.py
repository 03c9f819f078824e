"""The `upriver` command. Needs the extra `cli`; other packages add groups through entry points `upriver.commands`."""
