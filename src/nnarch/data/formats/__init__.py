"""How files are written: what the sources read them with."""
