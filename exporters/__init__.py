"""Workers that carry records elsewhere, each a process of its own: ``strongroom run NAME``."""
