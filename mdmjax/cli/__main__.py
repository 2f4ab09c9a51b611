"""`python -m mdmjax.cli`: the command, for where it is not on the path."""

import sys

from . import main

sys.exit(main())
