"""The configuration of the documentation, as Sphinx reads it. `reviewbot site` builds it, with a page for each rule."""

from importlib.metadata import version as installed

project = "reviewbot"
author = "the authors of reviewbot"
version = release = installed("reviewbot")
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_static_path = ["static"]
html_js_files = ["reach.js"]
html_css_files = ["diff.css"]
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]  # architecture.md is read on forges, too
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "reviewbot"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
templates_path: list[str] = []
