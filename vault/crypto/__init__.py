"""Keys and ciphers: KEK → site key → domain keys → one key for each version (DESIGN §6).

    kek           where the key-encryption key comes from
    keyring       domain keys, in two verified copies; ``keyring_file`` is their format
    aead          suite 1: what is done with a version's key
    secrets       principals' secrets and signing keys, sealed under keys of the site key

The site key stands between so that a rotation of the KEK rewraps 32 bytes and the list, never locked bytes, and so that
a KEK that lives in a token or a KMS is asked once at start.

Fail closed: what does not authenticate is an error, and no error, message or ``repr`` shows a key.
"""
