"""Parts that all figures are made of."""

from __future__ import annotations

from bench.figures import captioned, new_figure


def test_a_figure_says_of_which_run_it_is() -> None:
    with captioned("sefa on shapes3d (small, seed 0)"):
        figure, _ = new_figure(2.0, 2.0, "Traversals")
        untitled, _ = new_figure(2.0, 2.0, "")
    plain, _ = new_figure(2.0, 2.0, "Traversals")
    assert figure.get_suptitle() == "Traversals\nsefa on shapes3d (small, seed 0)"
    assert untitled.get_suptitle() == "sefa on shapes3d (small, seed 0)"
    assert plain.get_suptitle() == "Traversals"
    assert figure.get_figheight() > plain.get_figheight() == untitled.get_figheight()
