"""The protocol between a process and its child process: one JSON object per line, in both directions."""
