"""The WORM vault: S3 front end, retention rules, manifests, encryption and storage.

Knows nothing of ``audit`` or ``exporters``: whatever it needs of the ledger it
asks for through the ports in :mod:`vault.ports`.
"""
