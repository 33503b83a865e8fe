"""`python -m studies.cause`: see studies/README.md."""

from studies.cause.run import main

main()
