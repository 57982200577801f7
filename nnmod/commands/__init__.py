"""What each subcommand of nnmod does; cli.py has the command line alone."""
