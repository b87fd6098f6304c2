"""HTTP: parse, authorise, call, serialise; no ranking, no store calls."""
