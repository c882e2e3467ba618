"""The command line: ``dragoman COMMAND``. Data goes to stdout, talk to stderr."""
