"""What commands tell the shell."""

from typing import Final

INCOMPLETE_EXIT: Final = 1
"""Exit status where the work was done and what it found is not as it should be; the report says what."""
FAILED_EXIT: Final = 2
"""Exit status where the work could not be done, or not to its end."""
INTERRUPTED_EXIT: Final = 130
"""Exit status after Ctrl-C, as shells have it."""
