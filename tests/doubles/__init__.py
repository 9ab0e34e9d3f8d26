"""In-memory stand-ins for the vault's ports, which police what the ports' contracts ask of their users."""
