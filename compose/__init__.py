"""How Strongroom is run beside other systems, and (``lab``) how these are started without containers."""
