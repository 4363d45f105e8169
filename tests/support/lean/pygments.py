"""Hidden from the processes of these tests, as if this package was installed alone."""

raise ImportError("hidden: httpx loads it where it finds it, which takes long")
