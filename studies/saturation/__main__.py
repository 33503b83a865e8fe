"""`python -m studies.saturation`: see studies/README.md."""

from studies.saturation.run import main

main()
