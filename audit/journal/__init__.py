"""The commit log: segments and groups, the committer that decides in order, and recovery (DESIGN §4)."""
