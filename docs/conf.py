"""Configuration of Sphinx; fastmmap must be installed, its help is read."""

from __future__ import annotations

from fastmmap import __version__

project = "fastmmap"
author = "the authors of fastmmap"
release = version = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
default_role = "py:obj"
highlight_language = "python"

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 72
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

man_pages = [
    ("command", "fastmmap", "look at cache files, and look after them", [author], 1)
]

html_theme = "alabaster"
html_theme_options = {
    "description": "A cache that the processes of one host share",
    "fixed_sidebar": True,
}
