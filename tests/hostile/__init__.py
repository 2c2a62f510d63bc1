"""Programs that try to get out of the sandbox, or to harm its host, and the host that watches them try."""
