"""Whether this process has been asked to end."""

import threading

ASKED = threading.Event()
"""Set by a signal, once: what is under way is finished, and nothing more is begun."""
