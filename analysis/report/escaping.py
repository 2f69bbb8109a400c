"""Escaping of text for Markdown, LaTeX and CSV, so that no text of a record acts as markup, command or formula.

HTML is escaped by the templates (`analysis.report.suite_page.rendered`), tables for the terminal hold plain text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from bench.core.wording import printable

SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
SPECIAL |= {"^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
SPECIAL |= {'"': "''", "≈": r"$\approx$", "≥": r"$\geq$", "²": r"$^2$", "†": r"\dag{}", "·": r"$\cdot$"}
SPECIAL |= {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "…": r"\dots{}"}
SPECIAL |= {"\N{GREEK SMALL LETTER RHO}": r"$\rho$", "\N{GREEK SMALL LETTER TAU}": r"$\tau$"}
LATIN = 0x17F  # the last character that LaTeX typesets without further packages
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet read a cell as a formula."""


def latex_text(text: str) -> str:
    r"""Return text for LaTeX: special characters as commands, others beyond Latin letters by their code point.

    >>> latex_text("50 % of a_b & {c} \\ d")
    '50 \\% of a\\_b \\& \\{c\\} \\textbackslash{} d'
    """
    plain = " ".join(printable(text).split())
    escaped = "".join(SPECIAL.get(c, c if ord(c) <= LATIN else f"[U+{ord(c):04X}]") for c in plain)
    # A bracket at the start of a cell would be read as the argument of the line break before it.
    return f"{{}}{escaped}" if escaped.startswith("[") else escaped


def latex_label(*parts: str) -> str:
    r"""Return a key for ``\label`` of letters, digits and hyphens; other characters become hyphens.

    >>> latex_label("tab", "demo", "land cover@50%")
    'tab:demo-land-cover-50-'
    """
    first, *rest = (re.sub(r"[^A-Za-z0-9.-]", "-", part.replace("_", "-")) for part in parts)
    return f"{first}:{'-'.join(rest)}"


def markdown_text(text: str) -> str:
    r"""Return text on one line for Markdown in which no HTML, link, code or emphasis starts.

    >>> print(markdown_text("<b>x</b> [a](b) `c` *d* p < .05"))
    &lt;b>x&lt;/b> [a\](b) \`c\` \*d\* p < .05
    """
    plain = " ".join(printable(text).split()).replace("\\", "\\\\")
    plain = re.sub(r"&(?=#?\w+;)", "&amp;", plain)
    plain = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", plain)
    return re.sub(r"\](?=[(\[])|[`*]", lambda match: f"\\{match.group()}", plain)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> list[str]:
    r"""Return the lines of a Markdown table of cells that are Markdown already; columns from `right` on right-aligned.

    >>> print("\n".join(markdown_table(["model", "score"], [["a|b", "0.5"]], 1)))
    | model | score |
    | --- | ---: |
    | a\|b | 0.5 |
    <BLANKLINE>
    """
    rule = ["---" if i < right else "---:" for i in range(len(head))]
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in [head, rule, *rows]]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def code_block(lines: Sequence[str]) -> list[str]:
    """Return the lines of a Markdown code block, fenced so that none of them ends it."""
    plain = [" ".join(printable(line).split()) for line in lines]
    longest = max((len(run) for line in plain for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *plain, fence, ""]


def csv(frame: pd.DataFrame) -> bytes:
    """Return a frame as CSV with six significant digits, in which no text is a formula.

    A text that begins like a formula gets a leading apostrophe; numbers, as values or as text, are not changed.

    >>> csv(pd.DataFrame({"model": ["=1+1", "-0.5"], "score": [-0.25, 1e-9]})).decode().split()
    ['model,score', "'=1+1,-0.25", '-0.5,1e-09']
    """
    safe = frame.rename(columns=_csv_cell)
    for place, kind in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            safe.isetitem(place, [_csv_cell(value) for value in safe.iloc[:, place]])
    text: str = safe.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text.encode(errors="replace")


def _csv_cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    if not text.startswith(FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
