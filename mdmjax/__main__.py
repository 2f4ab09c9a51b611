"""`python -m mdmjax`: the command, for where it is not on the path."""

import sys

from .cli import main

sys.exit(main())
