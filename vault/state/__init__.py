"""The vault's state machine: rows, what a decision may look at, decisions, and their effects.

Pure: no I/O and no clock of its own. The committer calls :func:`vault.state.decide.decide`
and :func:`vault.state.apply.apply` live; recovery and a rebuilt index call the same
``apply`` on the records (STYLE rule 2).
"""
