"""Labels of a scatter plot: none covers a marker or another label, and what has no room is left out."""

from densimeter.reports.labels import Point, place


def placed(*points: Point, width: float = 400, height: float = 400) -> list[str | None]:
    return place(points, width_px=width, height_px=height, font_px=10, marker_px=10)


def test_a_lone_label_stands_to_the_right() -> None:
    assert placed(Point(100, 100, "int8")) == ["middle right"]


def test_at_the_right_edge_it_stands_to_the_left() -> None:
    assert placed(Point(390, 100, "int8")) == ["middle left"]


def test_the_second_of_two_close_markers_turns_away() -> None:
    assert placed(Point(100, 100, "a"), Point(112, 100, "b")) == ["middle left", "middle right"]


def test_a_label_without_room_is_left_out() -> None:
    assert placed(Point(20, 20, "a long name"), width=40, height=40) == [None]


def test_a_point_without_a_label_still_keeps_others_away() -> None:
    assert placed(Point(100, 100, "int8"), Point(115, 100)) == ["middle left", None]
