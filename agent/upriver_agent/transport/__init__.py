"""How questions come in: gRPC servers that convert, call the serving core and convert back."""
