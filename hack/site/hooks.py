# Copyright 2026 The mqttbridge-operator Authors.
# SPDX-License-Identifier: Apache-2.0

"""Lets MkDocs render the Markdown that GitHub renders.

MkDocs serves the directory docs only: links to other files of the repository become links to GitHub. Python's
Markdown needs an empty line before a list, and four spaces before the paragraphs and lists inside an item."""

import os
import re

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r" *(```|~~~)")
ITEM = re.compile(r"( *)([-*+]|\d+\.) +(.*)")
BLOCK = re.compile(r"#|\||```|~~~|<")  # starts a block that is not part of a list item


def on_page_markdown(markdown, page, config, files):
    root = os.path.dirname(config["config_file_path"])
    here = os.path.dirname(page.file.abs_src_path)
    lines = outside_code(markdown.split("\n"), lambda line: link_to_repository(line, root, here, config))
    return "\n".join(indent_lists(lines))


def outside_code(lines, change):
    """Changes the lines that are not in a code block."""
    code, changed = False, []
    for line in lines:
        fence = FENCE.match(line)
        changed.append(line if code or fence else change(line))
        if fence:
            code = not code
    return changed


def link_to_repository(line, root, here, config):
    """Replaces the targets that MkDocs does not serve. It leaves missing files, which MkDocs then reports."""

    def target(match):
        path, anchor, fragment = match.group(1).partition("#")
        full = os.path.normpath(os.path.join(here, path))
        if "://" in path or path.startswith("mailto:") or not os.path.exists(full):
            return match.group(0)
        if os.path.isfile(full) and full.startswith(config["docs_dir"] + os.sep):
            return match.group(0)
        if not path:
            return match.group(0)
        kind = "tree" if os.path.isdir(full) else "blob"
        url = "/".join([config["extra"]["repository"], kind, "main", os.path.relpath(full, root)])
        return "](" + url + anchor + fragment + ")"

    return LINK.sub(target, line)


def indent_lists(lines):
    """Indents the contents of list items by four spaces for each level."""
    out, offsets = [], []  # offsets has the column of the text of each open item
    blank, shift, code = True, 0, False
    continued = False  # the latest item has a further block
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        if code:
            out.append(" " * shift + line if line.strip() else line)
            code = not FENCE.match(line)
            continue
        if not line.strip():
            out.append(line)
            blank = True
            continue
        item, in_list = ITEM.match(line), bool(offsets)
        if offsets and (blank or item or (indent == 0 and BLOCK.match(line))):
            while offsets and indent < offsets[-1]:
                offsets.pop()
            if not offsets and not item and not blank:
                out.append("")
        # In a paragraph, only a bullet and the number 1 start a list.
        if item and (blank or in_list or item.group(2) in ("-", "*", "+", "1.")):
            if not blank and (continued or not in_list):
                out.append("")
            continued = False
            out.append(" " * 4 * len(offsets) + item.group(2) + " " + item.group(3))
            offsets.append(item.start(3))
        elif offsets:
            continued = continued or blank
            shift = 4 * len(offsets) - indent
            out.append(" " * 4 * len(offsets) + line.lstrip(" "))
        else:
            shift = 0
            out.append(line)
        code = bool(FENCE.match(line))
        blank = False
    return out
