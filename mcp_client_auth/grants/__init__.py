"""How tokens are obtained: one file a grant, and what the grants share."""
