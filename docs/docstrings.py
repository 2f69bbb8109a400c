"""Docstrings as mkdocstrings reads them: what is shown at a prompt (``>>>``) stands in a section of examples."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

PROMPTS = re.compile(r"^>>> .*(?:\n.+)*", re.M)


class Examples(griffe.Extension):
    """Puts doctests below the heading that griffe knows, so that they are shown as code."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object as it is collected."""
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.M)
            text = PROMPTS.sub(lambda match: "Examples:\n" + textwrap.indent(match[0], "    "), text)
            obj.docstring.value = text
