"""Documentation that is generated from the tools themselves, for people and for models.

- `pages`: pure functions from a `ToolSpec` and its toolkit to Markdown;
- `collect`: the pages of installed toolkits, with their examples executed;
- `plugin`: the mkdocs plugin ``codeact-tools``; `llms`: ``llms.txt`` and its companions.
"""

from .collect import Collection, Page, Request, collect
from .examples import Policy, Run, run_examples
from .origin import Origin
from .pages import tool_card, tool_page
from .toolkit_pages import toolkit_page

__all__ = [
    "Collection",
    "Origin",
    "Page",
    "Policy",
    "Request",
    "Run",
    "collect",
    "run_examples",
    "tool_card",
    "tool_page",
    "toolkit_page",
]
