"""The control plane in a browser: pages that know everything through the gRPC services, as any other operator does."""
