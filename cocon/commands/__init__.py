"""One module per command; each has ``HELP``, ``add_arguments(parser)`` and ``run(args)``."""
