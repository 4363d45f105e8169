"""Hidden from the processes of these tests, as where this package was installed alone."""

raise ImportError("hidden: httpx loads it where it finds it, which takes long")
