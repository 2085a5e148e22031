"""Configuration of Sphinx; fastmmap must be installed, its help is read."""

from __future__ import annotations

import sys
from typing import Any

from fastmmap import __version__

project = "fastmmap"
author = "the authors of fastmmap"
copyright = "2026, the fastmmap maintainers"
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
root_doc = "index"
default_role = "py:obj"
highlight_language = "python"

# A link that leads nowhere is a warning, and -W makes that an error. The names of
# arguments, and of the standard library, are not links.
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", "[a-z][a-z_]*"),
    ("py:.*", "({})[.].+".format("|".join(sorted({*sys.stdlib_module_names, "test"})))),
]

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 72
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# The groups of options in the docstring of FastMmap.
napoleon_custom_sections = [
    ("File", "params_style"),
    ("Size", "params_style"),
    ("Values", "params_style"),
    ("Lifetimes", "params_style"),
    ("Callbacks", "params_style"),
    ("Rare", "params_style"),
]

# Prompts and output stay on the page when a block is copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

man_pages = [("command", "fastmmap", "inspect and maintain cache files", [author], 1)]

html_theme = "furo"
html_title = f"fastmmap {version}"
html_static_path = ["static"]
html_css_files = ["fastmmap.css"]
html_theme_options = {
    "source_repository": "https://github.com/fastmmap/fastmmap/",
    "source_branch": "main",
    "source_directory": "docs/",
}

#: Where a name is looked for that a page gives without its module.
SCOPES = ("fastmmap.", "fastmmap.FastMmap.", "fastmmap.sync.")


def find_short_name(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Return a link to a public name that a page gives without its module."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.get_domain("py"), node["reftarget"]
    for name in (scope + target for scope in SCOPES):
        if name in domain.objects:
            found = [node["refdoc"], app.builder, "obj", name, node, text]
            return domain.resolve_xref(env, *found)
    return None


def setup(app: Any) -> None:
    """Connect what is written above."""
    app.connect("missing-reference", find_short_name)
