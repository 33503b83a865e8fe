"""How a run ends when the user has to act: one line that names the file or parameter, and exit code 1."""

import click


class UserError(click.ClickException):
    """A one-line message that names the file or parameter, says what is wrong and what to do.

    It is an ordinary exception; Click catches it at the edge of every command, prints it and exits with code 1.
    """
