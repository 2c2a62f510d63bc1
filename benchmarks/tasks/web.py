"""Questions for the ``web`` toolkit about a small shop's site, which this module serves on the loopback interface."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from codeact_tools_web import SearchHit, WebConfig, toolkit

from codeact_tools.evals import Task, mentions

BIKES: Final = [
    ("Swift", "city", 749, 12.5, 8),
    ("Harbour", "city", 899, 14.0, 3),
    ("Ridge", "mountain", 1450, 13.2, 5),
    ("Summit", "mountain", 2380, 11.9, 2),
    ("Carrier", "cargo", 3150, 28.0, 4),
    ("Junior", "children", 329, 9.1, 11),
]
"""Name, kind, price in euros, weight in kg, pieces in stock."""
SHOPS: Final = {
    "Bremen": ("Weserstrasse 4", 9, 6),
    "Leipzig": ("Am Markt 12", 10, 4),
    "Potsdam": ("Seeweg 7", 8, 9),
}
"""Address, the hour when it opens, people who work there."""
ORDERS: Final = [
    {"id": 101, "bike": "Swift", "pieces": 2, "status": "open"},
    {"id": 102, "bike": "Carrier", "pieces": 1, "status": "shipped"},
    {"id": 103, "bike": "Ridge", "pieces": 1, "status": "open"},
    {"id": 104, "bike": "Junior", "pieces": 3, "status": "open"},
    {"id": 105, "bike": "Summit", "pieces": 1, "status": "cancelled"},
]
REPAIRS: Final = [("January", 41), ("February", 38), ("March", 67), ("April", 92)]
PRICES: Final = {bike[0]: bike[2] for bike in BIKES}


def _page(title: str, body: str, *, published: str = "") -> str:
    meta = f'<meta property="article:published_time" content="{published}">' if published else ""
    menu = (
        '<nav><a href="/">Home</a> <a href="/bikes">Bikes</a> <a href="/shops">Shops</a> <a href="/news">News</a></nav>'
    )
    return (
        f'<!doctype html><html lang="en"><head><title>{title}</title>{meta}</head><body>{menu}<main><h1>{title}</h1>'
        f"{body}</main><footer>Wheel &amp; Water bikes</footer></body></html>"
    )


def _table(header: list[str], rows: list[tuple[object, ...]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


_NEWS: Final = {
    "new-cargo-bike": ("A new cargo bike", "2026-01-20", "The Carrier takes 80 kg of load and two children to school."),
    "spring-sale": ("Spring sale", "2026-03-14", "From 20 March all city bikes are sold at a discount of 15 percent."),
    "winter-repairs": ("Repairs in winter", "2025-12-02", "Those who bring their bike in December wait two days only."),
}
_SERVICE: Final = (
    "<h2>Returns</h2><p>A bike can be brought back within 45 days, if it was ridden less than 100 kilometres.</p>"
    "<h2>Warranty</h2><p>Frames are covered for 10 years, motors for 3 years, and batteries for 2 years.</p>"
    "<h2>Repairs</h2><p>A repair costs 62 euros for each hour of work; spare parts are charged on top of that.</p>"
)
PAGES: Final = {
    "/": _page("Wheel and Water", "<p>Bikes for the city, the hills and the whole family, from three shops.</p>"),
    "/bikes": _page(
        "Our bikes",
        "<p>All prices are in euros, and all weights in kilograms.</p>"
        + _table(["Name", "Kind", "Price", "Weight", "In stock"], [*BIKES]),
    ),
    "/shops": _page(
        "Our shops",
        "<ul>" + "".join(f'<li><a href="/shops/{city.lower()}">Shop in {city}</a></li>' for city in SHOPS) + "</ul>",
    ),
    "/news": _page(
        "News",
        "<ul>"
        + "".join(f'<li><a href="/news/{slug}">{title}</a></li>' for slug, (title, _, _) in _NEWS.items())
        + "</ul>",
    ),
    "/service": _page("Service", _SERVICE),
    **{f"/news/{slug}": _page(title, f"<p>{body}</p>", published=day) for slug, (title, day, body) in _NEWS.items()},
    **{
        f"/shops/{city.lower()}": _page(
            f"Shop in {city}", f"<p>You find us at {where}. We open at {hour}:00. {people} people work here.</p>"
        )
        for city, (where, hour, people) in SHOPS.items()
    },
}
_FILES: Final = {
    "/orders.json": ("application/json", json.dumps({"orders": ORDERS})),
    "/repairs.csv": ("text/csv", "month,repairs\n" + "".join(f"{month},{count}\n" for month, count in REPAIRS)),
}
_MOVED: Final = {"/help": "/service"}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path in _MOVED:
            self.send_response(301)
            self.send_header("Location", _MOVED[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        kind, text = _FILES.get(self.path, ("text/html; charset=utf-8", PAGES.get(self.path, "no such page")))
        body = text.encode()
        self.send_response(200 if self.path in PAGES or self.path in _FILES else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class SiteSearch:
    """A search engine that knows this site."""

    async def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return the pages that hold most of the words."""
        words = [word for word in query.lower().replace("?", " ").split() if len(word) > 3]
        scores = {path: sum(text.lower().count(word) for word in words) for path, text in PAGES.items()}
        best = sorted((path for path, score in scores.items() if score), key=lambda path: -scores[path])
        return [SearchHit(title=PAGES[path].split("<h1>")[1].split("<")[0], url=SITE + path) for path in best[:limit]]


def _serve() -> str:
    """Start the site; at the usual port, so that questions are the same each time, or at a free one."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", 8808), _Handler)
    except OSError:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, name="site of benchmarks.tasks.web", daemon=True).start()
    return f"127.0.0.1:{server.server_port}"


PLACE: Final = _serve()
SITE: Final = f"http://{PLACE}"
TOOLS: Final = [
    toolkit.configured(
        WebConfig(allowed_hosts=("127.0.0.1",), allow_private=(PLACE,), per_second=200, search=SiteSearch())
    )
]
"""What the questions are asked with."""

OPEN: Final = [order for order in ORDERS if order["status"] == "open"]
CITY: Final = [bike for bike in BIKES if bike[1] == "city"]

TASKS: Final = [
    Task(
        name="sum over a table",
        question=f"The table on {SITE}/bikes has a column 'In stock'. How many bikes are in stock altogether?",
        right=mentions(sum(bike[4] for bike in BIKES)),
    ),
    Task(
        name="value of the stock",
        question=f"Look at the table on {SITE}/bikes. What are all the bikes in stock worth together "
        "(price times pieces)?",
        right=mentions(sum(bike[2] * bike[4] for bike in BIKES)),
    ),
    Task(
        name="filter a table",
        question=f"How many of the models in the table on {SITE}/bikes cost less than 1000 euros?",
        right=mentions(sum(bike[2] < 1000 for bike in BIKES)),
    ),
    Task(
        name="heaviest",
        question=f"Which bike in the table on {SITE}/bikes is the heaviest, and what does it weigh?",
        right=mentions("Carrier", 28),
    ),
    Task(
        name="follow links",
        question=f"The page {SITE}/shops links to a page for each shop. In which city does the shop open first?",
        right=mentions("Potsdam"),
    ),
    Task(
        name="sum over linked pages",
        question=f"The page {SITE}/shops links to a page for each shop, which says how many people work there. "
        "How many people work in all shops together?",
        right=mentions(sum(people for _, _, people in SHOPS.values())),
    ),
    Task(
        name="newest article",
        question=f"The page {SITE}/news links to articles. What is the title of the one that was published last?",
        right=mentions("Spring sale"),
    ),
    Task(
        name="join JSON with a table",
        question=f"{SITE}/orders.json has a list 'orders' with bike, pieces and status. {SITE}/bikes has a table with "
        "the price of each bike. What are the orders with the status 'open' worth together?",
        right=mentions(sum(PRICES[str(order["bike"])] * int(str(order["pieces"])) for order in OPEN)),
    ),
    Task(
        name="count in JSON",
        question=f"{SITE}/orders.json has a list 'orders'. How many of them have the status 'open'?",
        right=mentions(len(OPEN)),
    ),
    Task(
        name="average of a file",
        question=f"Download {SITE}/repairs.csv. What is the average number of repairs in a month?",
        right=mentions(sum(count for _, count in REPAIRS) / len(REPAIRS)),
    ),
    Task(
        name="search, then read",
        question="Search the web for 'frames motors batteries warranty', and read the page that you find. For how many "
        "years are batteries covered?",
        right=mentions(2),
    ),
    Task(
        name="two parts of a page",
        question=f"Read {SITE}/help. What do 5 hours of a repair cost, and within how many days can a bike be "
        "brought back?",
        right=mentions(5 * 62, 45),
    ),
    Task(
        name="a discount from another page",
        question=f"{SITE}/news/spring-sale announces a discount. What does the bike Harbour on {SITE}/bikes cost "
        "with that discount?",
        right=mentions(899 * 0.85),
    ),
    Task(
        name="which page is missing",
        question=f"Which of these pages does not exist: {SITE}/service, {SITE}/jobs, {SITE}/news?",
        right=mentions("/jobs"),
    ),
]
"""Fourteen tasks; the expected answers come from the data that the site is made of."""
