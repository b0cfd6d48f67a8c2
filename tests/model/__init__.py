"""The protocol as an executable specification: the real decisions over small stores, explored completely."""
