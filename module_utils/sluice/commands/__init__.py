"""What each command of ``sluice`` does; its arguments, and how all of them end, are in ``command``.

What reads manifests, renders or looks back is imported where it is used: an apply does neither, and starts faster.
"""
