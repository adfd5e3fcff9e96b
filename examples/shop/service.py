"""A small shop over HTTP: items in PostgreSQL, read through a cache in Redis. It is what the examples test.

    GET  /health       200 once database and cache answer
    GET  /items        all items, as JSON
    GET  /items/NAME   one item; the header X-Cache says whether the cache had it
    PUT  /items/NAME   body: the price; makes or changes an item

Runs inside the image, with what Debian has for it: python3, psycopg2, redis.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg2
import redis

CACHED_FOR_S = 60
ITEM = re.compile(r"/items/([\w-]{1,40})\Z")

cache = redis.Redis(host=os.environ["CACHE_HOST"], socket_timeout=2, socket_connect_timeout=2)


def query(statement: str, *values: object) -> list[tuple[Any, ...]]:
    """One connection a statement: the service outlives restarts of its database."""
    connection = psycopg2.connect(os.environ["DATABASE"], connect_timeout=2)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def find_cached(name: str) -> int | None:
    """The cache is a help, not a need: without it the database answers."""
    try:
        value = cache.get(name)
    except redis.RedisError:
        return None
    return None if value is None else int(value)


def remember(name: str, price: int) -> None:
    with contextlib.suppress(redis.RedisError):
        cache.set(name, price, ex=CACHED_FOR_S)


class Shop(BaseHTTPRequestHandler):
    def answer(self, status: int, document: object, **headers: str) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        try:
            self.get()
        except (psycopg2.Error, redis.RedisError) as error:
            self.answer(503, {"error": str(error).strip()})

    def do_PUT(self) -> None:
        try:
            self.put()
        except psycopg2.Error as error:
            self.answer(503, {"error": str(error).strip()})

    def get(self) -> None:
        if self.path == "/health":
            query("CREATE TABLE IF NOT EXISTS items (name text PRIMARY KEY, price integer NOT NULL)")
            cache.ping()
            self.answer(200, {"status": "ok"})
        elif self.path == "/items":
            self.answer(200, dict(query("SELECT name, price FROM items ORDER BY name")))
        elif match := ITEM.match(self.path):
            self.get_item(match[1])
        else:
            self.answer(404, {"error": "no such page"})

    def get_item(self, name: str) -> None:
        price = find_cached(name)
        if price is not None:
            self.answer(200, {"name": name, "price": price}, X_Cache="hit")
            return
        rows = query("SELECT price FROM items WHERE name = %s", name)
        if not rows:
            self.answer(404, {"error": f"no item {name}"})
            return
        remember(name, rows[0][0])
        self.answer(200, {"name": name, "price": rows[0][0]}, X_Cache="miss")

    def put(self) -> None:
        match = ITEM.match(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not match or not body.isdigit():
            self.answer(400, {"error": "PUT /items/NAME with a price"})
            return
        statement = "INSERT INTO items VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET price = excluded.price"
        query(statement, match[1], int(body))
        remember(match[1], int(body))
        self.answer(200, {"name": match[1], "price": int(body)})

    def log_message(self, format: str, *args: object) -> None:
        print(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}", flush=True)


if __name__ == "__main__":
    print("the shop is open", flush=True)
    ThreadingHTTPServer(("", 8080), Shop).serve_forever()
