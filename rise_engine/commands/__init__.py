"""The ``rise`` commands, by what they are about. They import what they need when they run: ``rise --help`` is quick."""
