"""The console's pages: each module has `add(site)`, which registers its addresses."""
