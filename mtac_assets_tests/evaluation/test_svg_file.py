from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.evaluation.style import BASELINE_LOOKS, CHAMPION, LIGHT, MODEL
from mtac_assets.evaluation.svg import mark, picture, text
from mtac_assets.evaluation.svg_file import CHARTS, MARGIN, Key, charts_style, svg_file

SVG = "{http://www.w3.org/2000/svg}"
any_text = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates and control characters too


@given(any_text, st.lists(any_text, max_size=6), any_text)
def test_any_words_make_a_file_that_a_parser_and_a_disk_take(title: str, words: list[str], told: str) -> None:
    drawn = picture(200, 100, [text(0, 0, told), mark(5, 5, "circle", "model", title=told)], told)
    file = svg_file(title, [drawn], [Key(each, "model") for each in words])
    root = ElementTree.fromstring(file.encode())
    assert root.tag == f"{SVG}svg"
    assert len(root.findall(f"{SVG}text")) == 1 + len(words)


def test_a_file_brings_all_that_a_page_would_give() -> None:
    file = svg_file(
        "Two", [picture(100, 40, [], "a"), picture(60, 50, [], "b")], [Key("this model", "model", "circle")], zoom=2
    )
    root = ElementTree.fromstring(file)
    assert file.startswith('<svg xmlns="http://www.w3.org/2000/svg" ')
    box = [float(each) for each in root.attrib["viewBox"].split()]
    assert [float(root.attrib["width"]), float(root.attrib["height"])] == [2 * box[2], 2 * box[3]]
    (paper,) = (each for each in root.findall(f"{SVG}rect") if each.attrib["class"] == "paper")
    assert [float(paper.attrib[name]) for name in ("x", "y", "width", "height")] == box
    assert ".paper{fill:#fff}" in file
    assert "var(" not in file, "a colour of a page is not known in a file"
    placed = root.findall(f"{SVG}g")
    ends = [
        (*map(float, re.findall(r"[\d.]+", group.attrib["transform"])), *(float(group[0].attrib[n]) for n in ("width", "height")))
        for group in placed
    ]  # fmt: skip
    assert all(x + width <= box[2] - MARGIN and y + height <= box[3] for x, y, width, height in ends)
    assert ends[0][0] + ends[0][2] < ends[1][0], "side by side"


def test_a_legend_wraps_within_the_picture() -> None:
    file = svg_file("t", [picture(300, 40, [], "a")], [Key(f"model number {n}", "model") for n in range(7)])
    root = ElementTree.fromstring(file)
    labels = [each for each in root.findall(f"{SVG}text") if each.attrib["class"] == "label"]
    places = [(float(each.attrib["x"]), float(each.attrib["y"])) for each in labels]
    assert len(set(places)) == 7
    assert len({y for _, y in places}) > 1
    assert all(x + 6 * len("model number 0") <= 300 + 2 * MARGIN for x, _ in places)
    (group,) = root.findall(f"{SVG}g")
    assert float(group.attrib["transform"].split()[1].rstrip(")")) > max(y for _, y in places)


def test_what_a_pointer_would_show_is_left_out() -> None:
    drawn = picture(10, 10, [mark(0, 0, "circle", "model", title="a & b <c>")], "a")
    assert "<title>" in drawn
    assert "<title>" not in svg_file("t", [drawn])


def test_files_and_printed_pages_have_the_same_colours() -> None:
    page = (CHARTS.parent / "page.css").read_text()
    printed = page[page.rindex("@media print{:root") :]
    looks = (MODEL, CHAMPION, *BASELINE_LOOKS.values())
    for name, colour in (LIGHT | {look.css: look.colour for look in looks}).items():
        assert re.search(rf"--{name}:{colour}[;}}]", printed), name
    assert set(re.findall(r"var\(--(\w+)\)", CHARTS.read_text())) <= LIGHT.keys() | {look.css for look in looks}
    assert MODEL.colour in charts_style()


def test_pages_have_the_same_rules() -> None:
    assert Path(CHARTS).name in (CHARTS.parent / "page.html").read_text()
