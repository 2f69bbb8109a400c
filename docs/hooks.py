"""What mkdocs does beyond its plugins: README files of the repository become pages, figures of results/ their pictures.

Links in all files are written as they work in the repository. On the site a link to a page is turned into the page's
address there; one to a file that is no page (code, say) becomes plain text; one to nothing is a warning, which
``mkdocs build --strict`` takes for an error.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
AT_TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
FOLDERS = ("bench", "analysis", "suites", "results", "tests")
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^()\s]+)\)")
FENCED = re.compile(r"^(```.*?^```)$", re.S | re.M)
log = logging.getLogger("mkdocs.hooks")


def pages() -> list[str]:
    """Return the Markdown files outside docs/ that are pages of the site, by path below the repository."""
    rooms = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("README.md"))]
    return [name for name in AT_TOP if (ROOT / name).exists()] + [path.relative_to(ROOT).as_posix() for path in rooms]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the README files of the rooms to the navigation."""
    rooms = [{name.removesuffix("/README.md"): name} for name in pages() if name not in AT_TOP]
    project = [{"Contributing": "CONTRIBUTING.md"}, {"Changelog": "CHANGELOG.md"}]
    config.nav = [*(config.nav or []), {"Rooms": rooms}, {"Project": project}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add those files, and the pictures below results/ that any page shows."""
    texts = [Path(str(file.abs_src_path)).read_text() for file in files.documentation_pages()]
    for name in pages():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
        texts.append((ROOT / name).read_text())
    pictures = {picture for text in texts for picture in re.findall(r"results/\w+/\w+\.png", text)}
    for name in sorted(pictures):
        if (ROOT / name).exists():
            files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Return a page's text with the links of the repository turned into those of the site."""
    outside = page.file.src_uri in pages()
    place = page.file.src_uri if outside else f"docs/{page.file.src_uri}"

    def turned(match: re.Match[str]) -> str:
        picture, text, link = match.groups()
        target, hash_, anchor = link.partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = os.path.normpath(Path(place).parent / target)
        address = path.removeprefix("docs/")
        if files.get_file_from_path(address) is None:
            if picture or not (ROOT / path).exists():
                log.warning("%s: the link to %s leads nowhere", place, link)
            return text
        relative = os.path.relpath(address, Path(page.file.src_uri).parent)
        return f"{picture}[{text}]({relative}{hash_}{anchor})"

    parts = FENCED.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(turned, part) for part in parts)
