"""The plan of an overlay."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.errors import UnsupportedHostError
from pytest_pods.engine.storage.overlay import MOST_CLASSIC_DATA, OverlayPlan, build_overlay_plan


def plan(*lower: str, user_xattrs: bool = False, volatile: bool = True) -> OverlayPlan:
    return build_overlay_plan(
        lower=tuple(map(Path, lower)), upper=Path("/u"), work=Path("/w"), user_xattrs=user_xattrs, volatile=volatile
    )


def test_the_topmost_layer_comes_first() -> None:
    layers = ("lowerdir+=/high", "lowerdir+=/low")
    assert plan("/low", "/high").options == (*layers, "upperdir=/u", "workdir=/w", "volatile")


@pytest.mark.parametrize(
    ("user_xattrs", "volatile", "flags"),
    [(True, True, ("userxattr", "volatile")), (True, False, ("userxattr",)), (False, False, ())],
)
def test_flags_stand_at_the_end(user_xattrs: bool, volatile: bool, flags: tuple[str, ...]) -> None:
    options = plan("/l", user_xattrs=user_xattrs, volatile=volatile).options
    assert options[3:] == flags


def test_the_classic_form_names_layers_by_short_links() -> None:
    classic = plan("/low", "/high").classic(links=Path("/links"))
    assert classic.data == "lowerdir=1:0,upperdir=/u,workdir=/w,volatile"
    assert classic.links == {"0": Path("/low"), "1": Path("/high")}


def test_the_classic_form_escapes_what_would_end_a_value() -> None:
    classic = build_overlay_plan(
        lower=(Path("/a:b"),), upper=Path("/u,v:w\\x"), work=Path("/w"), user_xattrs=False
    ).classic(links=Path("/links"))
    assert "upperdir=/u\\,v\\:w\\\\x," in classic.data


def test_five_hundred_layers_fit_into_the_classic_form() -> None:
    classic = plan(*(f"/layers/{'x' * 64}{number}" for number in range(500))).classic(links=Path("/links"))
    assert len(classic.data) <= MOST_CLASSIC_DATA
    assert len(set(classic.links)) == 500


def test_what_does_not_fit_is_refused_rather_than_cut() -> None:
    long = build_overlay_plan(lower=(Path("/l"),), upper=Path("/u" * 2100), work=Path("/w"), user_xattrs=False)
    with pytest.raises(UnsupportedHostError):
        long.classic(links=Path("/links"))
