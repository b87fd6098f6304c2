"""Who is calling: trusted headers, API keys, signed tokens. Routes use ``memrouter.api.caller``, nothing in here."""
