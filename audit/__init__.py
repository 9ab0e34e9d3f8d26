"""The ledger: records, commit log, tree, checkpoints, verifier, and the commands."""
