"""``fastmmap``, and no other."""
