"""The dashboard: what the watcher knows, as a static site that is led on after each poll, and its documentation."""
