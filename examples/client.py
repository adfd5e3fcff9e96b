"""What the tests say to the shop."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from pytest_pods import Container


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; error statuses are answers as well."""

    status: int
    document: Any
    cache: str | None


@dataclass(frozen=True, slots=True)
class Shop:
    """The three containers of one shop."""

    database: Container
    cache: Container
    web: Container

    def get(self, path: str) -> Answer:
        return self._ask(urllib.request.Request(self.web.url(8080, path)))

    def put(self, name: str, price: int) -> Answer:
        url = self.web.url(8080, f"/items/{name}")
        return self._ask(urllib.request.Request(url, data=str(price).encode(), method="PUT"))

    def _ask(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Answer(response.status, json.load(response), response.headers.get("X-Cache"))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error), None)
