"""What may be known where: canaries in every input, and a search of every byte that comes out."""
