"""How far dreams are from the simulator."""
