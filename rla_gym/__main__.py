"""`python -m rla_gym` is `rla-gym`; it is also what `accelerate launch -m rla_gym train ...` starts."""

import sys

from rla_gym.cli import main

if __name__ == "__main__":
    sys.exit(main())
