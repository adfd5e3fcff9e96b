"""A web service with its database and its cache, each test with three containers of its own."""

from __future__ import annotations

import pytest

from examples.client import Shop


def test_new_shop_has_no_items(shop: Shop) -> None:
    assert shop.get("/items").document == {}


@pytest.mark.parametrize(("name", "price"), [("apple", 3), ("pear", 0), ("a-long-name_with-both", 2_000_000_000)])
def test_item_is_there_after_it_was_put(shop: Shop, name: str, price: int) -> None:
    assert shop.put(name, price).status == 200
    assert shop.get("/items").document == {name: price}


def test_second_look_comes_from_the_cache(shop: Shop) -> None:
    shop.put("apple", 3)
    shop.cache.succeed("redis-cli flushall")
    assert shop.get("/items/apple").cache == "miss"
    assert shop.get("/items/apple").cache == "hit"


def test_cache_follows_a_change_of_price(shop: Shop) -> None:
    shop.put("apple", 3)
    shop.put("apple", 4)
    answer = shop.get("/items/apple")
    assert (answer.document["price"], answer.cache) == (4, "hit")


def test_shop_sells_on_without_its_cache(shop: Shop) -> None:
    shop.put("apple", 3)
    shop.cache.kill()
    answer = shop.get("/items/apple")
    assert (answer.status, answer.cache) == (200, "miss")


def test_shop_says_that_its_database_is_gone(shop: Shop) -> None:
    shop.database.kill()
    answer = shop.get("/items")
    assert answer.status == 503
    assert answer.document["error"]


def test_cached_item_is_sold_while_the_database_is_gone(shop: Shop) -> None:
    shop.put("apple", 3)
    shop.database.kill()
    assert shop.get("/items/apple").document["price"] == 3


def test_unknown_item_is_not_found(shop: Shop) -> None:
    assert shop.get("/items/nothing").status == 404


def test_price_that_is_no_number_is_refused(shop: Shop) -> None:
    assert shop.put("apple", -1).status == 400
    assert shop.get("/items").document == {}
