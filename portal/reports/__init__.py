"""Reports: read-only questions across rooms: what stands where, for whoever may know it."""
