"""The one exception of this package: a sentence for the person at the terminal, never a stack trace."""


class StackError(Exception):
    """Says what is wrong, with which server, port or file, and how to mend it."""
