"""Results, the store they lie in, reported numbers, and the tables made of them. Never torch."""
