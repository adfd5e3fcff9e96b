"""The one door to the host: the sandbox, processes, system calls, and what this machine can do."""
