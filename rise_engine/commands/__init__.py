"""The ``rise`` commands, grouped by topic. Each imports what it needs when it runs, so ``rise --help`` is fast."""
