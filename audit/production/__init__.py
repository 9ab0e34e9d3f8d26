"""Productions: what a regulator or auditor is handed, and can check without us (DESIGN §2, §11).

A production is a directory in the form of a BagIt bag (RFC 8493). Everything in it is fixed by one snapshot, the
record that says it was asked for; the same question at the same snapshot gives the same files, but for versions that
were removed meanwhile: these it lists with the record of that.

    HOW-TO-CHECK.txt               one page for whoever has never heard of this software
    strongroom-verify.pyz          the verifier; needs Python 3.11 and nothing else
    bagit.txt, bag-info.txt, manifest-sha256.txt, tagmanifest-sha256.txt
    data/production.json           who asked, why, when, for what; what is here, counted; what is claimed
    data/index.html                the versions for people; from disk, nothing from elsewhere
    data/index.pdf                 the same for paper
    data/versions.ndjson, .csv     a line a version: its native, its record, its content document, its trail
    data/trail.csv                 the records of each version's trail for people
    data/natives/…                 the bytes as they were stored, under safe names
    data/logs/<stream>/            checkpoint, vkey, records.ndjson (exact bytes), the hash tiles that prove them

What is claimed, and by whom it can be checked (``audit.verify.production``):

 1. Every record here is in the log whose checkpoint is here: tiles lead from each leaf to the signed root.
 2. Every native is what its record says: the record names the digest of the content document, which is here, and
    that the SHA-256 of the bytes (of a multipart object: of each part).
 3. Of each stream all records from ``first`` to ``end`` are here, and every stored version among them that the question
    asks for is listed. With ``only_matching`` the records of others are left out, and this cannot be checked.
 4. By trust only: that no record outside ``first`` to ``end`` bears a time inside the period that was asked for. The
    clock of the records is in the records.

Each is kept by the vault as well, as one ZIP under a COMPLIANCE lock (``archive``, ``keep``): it is complete once the
record of that is durable. Where the archive cannot be kept, the bag may be good and the production is not complete.

Not handled here: who may ask (``vault.policy``).
"""
