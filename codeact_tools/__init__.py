"""codeact_tools: a language model acts by writing Python, checked before it runs, in a sandbox of your tools."""
