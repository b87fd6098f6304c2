"""Model servers: transport, failover and server-sent events."""
