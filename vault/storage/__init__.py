"""Where bytes lie: large bodies as files (``blobs``), and what destroying any of them takes (``token``)."""
