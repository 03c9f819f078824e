"""A package, so that the mesh and the browser of its tests end with it and not with the session."""
