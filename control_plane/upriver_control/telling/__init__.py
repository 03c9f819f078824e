"""What messages of the control plane mean, in words: the terminal and the pages both say it so."""
