"""How reconstructions answer to damaged photographs."""
