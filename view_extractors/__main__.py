"""``python -m view_extractors``."""

import sys

from view_extractors.cli import main

sys.exit(main())
