"""How an agent lives with upstreams that are slow, full or gone: pure state machines, one file each.

Times are seconds of a steady clock and come as arguments, as does chance. None of them locks: whoever owns one does.
"""
