"""How a user's mistake ends a run: one line on stderr, exit code 1, no traceback."""


class Mistake(SystemExit):
    """A one-line message naming the file or parameter, what is wrong and what to do.

    It is a SystemExit: raised anywhere below a stage it prints itself and ends the process.
    """
