"""The HTML of rich messages: what is read of it, and every refusal. The calls that carry it are in another file."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.emulator.answers import Refused
from triolet.emulator.rich import RichContent, read_rich
from triolet.emulator.rich_html import parse_html

EMULATOR = "Bad Request: emulator: rich_message: "


def read(html: str, **fields: Any) -> RichContent:
    return read_rich({"html": html, **fields})


def refused(html: str, **fields: Any) -> str:
    with pytest.raises(Refused) as caught:
        read(html, **fields)
    assert caught.value.code == 400
    return caught.value.description


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        ("plain", ["plain"]),
        ("<p>one</p><p>two</p>", ["one", "two"]),
        (" \n<p> one\n  two </p>\n\n<p>three</p>\n", ["one two", "three"]),
        ("<b>bold</b> and <i>it<u>al</u>ic</i><p>block</p>rest", ["bold and italic", "block", "rest"]),
        ("<p>a<br>b <br/> c</p>", ["a\nb\nc"]),
        ("<h1>Title</h1><h6>small</h6>", ["Title", "small"]),
        ("<p>a &lt;b&gt; &amp;amp; &#x41;&#66;</p>", ["a <b> &amp; AB"]),
        ("<p>&quot;&apos;&hellip;&nbsp;x</p>", ["\"'…\N{NO-BREAK SPACE}x"]),
        ('<pre><code class="language-python">\nif x:\n    y &lt; 2\n</code></pre>', ["if x:\n    y < 2"]),
        ("<pre>a  b\n\n c</pre>", ["a  b\n\n c"]),
        ("<ul><li>a</li> <li><b>b</b> c</li></ul>", ["• a\n• b c"]),
        ("<ol><li>a</li><li>b</li></ol>", ["1. a\n2. b"]),
        ('<ol start="3"><li>a</li><li value="7">b</li><li>c</li></ol>', ["3. a\n7. b\n8. c"]),
        ('<ol start="3" reversed><li>a</li><li>b</li></ol>', ["3. a\n2. b"]),
        ('<ul><li><input type="checkbox" checked>a</li><li><input type="checkbox"/>b</li></ul>', ["☑ a\n☐ b"]),
        ("<ul><li>a<ol><li>b</li></ol>c</li><li><p>d</p><pre>e</pre></li></ul>", ["• a\n1. b\nc\n• d\ne"]),
        ("<ul><li><hr></li><li>a</li></ul>", ["• \n• a"]),
        ("<blockquote>a<p>b</p><cite>c</cite></blockquote>", ["a\nb\nc"]),
        ("<aside>pulled<cite>who</cite></aside><footer>end</footer>", ["pulled\nwho", "end"]),
        ("<details open><summary>more</summary>a<p>b</p></details>", ["more\na\nb"]),
        (
            "<table bordered><caption>T</caption><thead><tr><th align='left'>a</th><th>b</th></tr></thead></table>",
            ["T\na | b"],
        ),
        (
            "<table><tbody>\n<tr><td><i>1</i></td><td></td></tr></tbody><tr><td colspan='2'>2</td></tr></table>",
            ["1 | \n2"],
        ),
        ("<p>x</p><hr><p>y</p><hr/>", ["x", "", "y", ""]),
        ("<p><tg-math>x^2</tg-math> is</p><tg-math-block>a+b</tg-math-block>", ["x^2 is", "a+b"]),
        (
            '<tg-emoji emoji-id="5">👍</tg-emoji> <tg-time unix="1" format="d.m.Y">then</tg-time>',
            ["👍 then"],
        ),
        (
            '<span class="tg-spoiler">s</span><tg-spoiler>t</tg-spoiler><tg-reference name="r">f</tg-reference>',
            ["stf"],
        ),
        ('<a href="https://e.com/?a=1&amp;b=2">a</a> <a href="tg://user?id=1">b</a> <a name="n">c</a>', ["a b c"]),
        ('<a href="mailto:a">a</a> <a href="tel:1">b</a> <a href="#n">c</a>', ["a b c"]),
        ("<mark>m</mark>x<sub>1</sub><sup>2</sup>", ["mx12"]),
        ("<strong>a</strong><em>b</em><ins>c</ins><s>d</s><strike>e</strike><del>f</del><code>g</code>", ["abcdefg"]),
        ("<P>loud</P>", ["loud"]),
    ],
)  # fmt: skip
def test_a_person_reads(html: str, lines: list[str]) -> None:
    rich = read(html)
    assert rich.blocks == tuple(lines)
    assert rich.text == "\n".join(line for line in lines if line)
    assert rich.entities == ()


def test_the_tree_keeps_the_order_of_the_source() -> None:
    message = parse_html('<p>a<b>b</b></p><ol start="2"><li><input type="checkbox"/>c</li></ol>')
    assert [element.tag for element in message.elements()] == ["", "p", "b", "ol", "li"]
    paragraph, numbered = message.children
    assert not isinstance(paragraph, str)
    assert not isinstance(numbered, str)
    assert (paragraph.children[0], paragraph.text()) == ("a", "ab")
    assert numbered.attributes == {"start": "2"}
    assert [element.box for element in numbered.elements()] == ["", "☐ "]


BROKEN = [
    "", "<p>", "<p>a</b></p>", "<b><i>x</b></i>", "</p>", "<p>x</p></p>", "a < b", "a <", "<p>x</p><b", "<p/>",
    "<p/>x</p>", "<b/>x", "x</br>", "<p>1 <2</p>",
]  # fmt: skip


@pytest.mark.parametrize("html", BROKEN)
def test_broken_html_is_refused(html: str) -> None:
    assert refused(html) == "Bad Request: RICH_MESSAGE_HTML_INVALID"


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("<think>x</think>", "<think> is no element of rich messages, Telegram would drop it"),
        ("<script>x</script>", "<script> is no element of rich messages, Telegram would drop it"),
        ("<p>a List<String> b</p>", "<string> is no element of rich messages, Telegram would drop it"),
        ('<img src="https://e.com/x.png"/>', "<img> is not modelled"),
        ("<figure>x</figure>", "<figure> is not modelled"),
        ("<tg-button>x</tg-button>", "<tg-button> is not modelled"),
        ("<p><ul><li>x</li></ul></p>", "<ul> inside <p>"),
        ("<p><p>x</p></p>", "<p> inside <p>"),
        ("<li>x</li>", "<li> inside no element"),
        ("<tr><td>x</td></tr>", "<tr> inside no element"),
        ("<ul><p>x</p></ul>", "<p> inside <ul>"),
        ("<table><tr><td><pre>x</pre></td></tr></table>", "<pre> inside <td>"),
        ("<code><b>x</b></code>", "<b> inside <code>"),
        ("<pre><b>x</b></pre>", "<b> inside <pre>"),
        ("<h1><p>x</p></h1>", "<p> inside <h1>"),
        ('<a href="#a">x<b><a href="#b">y</a></b></a>', "<a> inside <a>"),
        ("<summary>x</summary>", "<summary> inside no element"),
        ('<p><input type="checkbox"/>x</p>', "<input> inside <p>"),
        ("<ul>x</ul>", "text in <ul>"),
        ("<table><tr>&lt;</tr></table>", "text in <tr>"),
        ("AT&T", "an & that begins no entity that rich messages know"),
        ("&copy;", "an & that begins no entity that rich messages know"),
        ("a &lt b", "an & that begins no entity that rich messages know"),
        ('<a href="https://e.com/?a=1&b=2">x</a>', "an & that begins no entity that rich messages know"),
        ("x<!-- y -->", "a comment is no text"),
        ("<!DOCTYPE html>x", "a comment is no text"),
        ("<?php ?>x", "a comment is no text"),
        ("<![CDATA[x]]>", "a comment is no text"),
        ("<p style='x'>x</p>", "<p> has no attribute 'style'"),
        ("<a>x</a>", "<a> lacks an attribute"),
        ("<span>x</span>", "<span> lacks an attribute"),
        ('<span class="red">x</span>', "class='red' in <span>"),
        ("<tg-emoji>x</tg-emoji>", "<tg-emoji> lacks an attribute"),
        ('<a href="javascript:x">x</a>', "href='javascript:x' in <a>"),
        ('<a href="README.md">x</a>', "href='README.md' in <a>"),
        ('<code class="language-c">x</code>', "<code> has no attribute 'class'"),
        ('<pre><code class="c">x</code></pre>', "class='c' in <code>"),
        ('<ol start="x"><li>x</li></ol>', "start='x' in <ol>"),
        ('<ul><li><input type="text"/>x</li></ul>', "type='text' in <input>"),
        ("<table><tr><td colspan='x'>x</td></tr></table>", "colspan='x' in <td>"),
        ("<tg-thinking>x</tg-thinking>", "<tg-thinking> is for drafts"),
    ],
)
def test_what_telegram_would_lose_is_objected_to(html: str, said: str) -> None:
    assert refused(html) == EMULATOR + said


@pytest.mark.parametrize(
    "html",
    [
        "<p></p>", "<h1> </h1>", "<pre></pre>", "<pre><code>\n </code></pre>", "<p>x</p><h2><b></b></h2>", "<ul></ul>",
        "<ul><li></li></ul>", "<ol><li><ul></ul></li></ol>", "<blockquote></blockquote>", "<table></table>",
        "<table><caption>x</caption></table>", "<table><tr></tr></table>", "<details>x</details>",
        "<details><summary></summary>x</details>", "<tg-math-block></tg-math-block>", "<footer></footer>",
    ],
)  # fmt: skip
def test_a_block_needs_content(html: str) -> None:
    assert refused(html) == "Bad Request: RICH_MESSAGE_CONTENT_REQUIRED"


@pytest.mark.parametrize("html", [" ", "\n \t", "<hr>", "<hr/> <hr/>", "<br>"])
def test_a_message_of_nothing_or_dividers_is_empty(html: str) -> None:
    assert refused(html) == "Bad Request: RICH_MESSAGE_EMPTY"


ROW = "<tr><td>x</td></tr>"


def nested(tag: str, levels: int, within: str = "") -> str:
    return f"<{tag}>" * levels + f"x{within}" + f"</{tag}>" * levels


def rows(columns: int, cell: str = "<td>x</td>") -> str:
    return f"<table><tr>{cell * columns}</tr></table>"


@pytest.mark.parametrize(
    ("fits", "over", "name"),
    [
        ("<p>" + "😀" * 32768 + "</p>", "<p>" + "x" * 32769 + "</p>", "TEXT_TOO_LONG"),
        ("<h1>x</h1>" + "y" * 32767, "<h1>x</h1>" + "y" * 32768, "TEXT_TOO_LONG"),
        (rows(4, f"<td>{'x' * 8192}</td>"), rows(5, f"<td>{'x' * 8192}</td>"), "TEXT_TOO_LONG"),
        ("<p>x</p>" * 500, "<p>x</p>" * 501, "BLOCKS_TOO_MANY"),
        ("<p>x</p>y" * 250, "<p>x</p>y" * 250 + "<hr>", "BLOCKS_TOO_MANY"),
        ("<ul>" + "<li>x</li>" * 249 + "</ul>x", "<ul>" + "<li>x</li>" * 250 + "</ul>", "BLOCKS_TOO_MANY"),
        (f"<table>{ROW * 499}</table>", f"<table>{ROW * 500}</table>", "BLOCKS_TOO_MANY"),
        (nested("blockquote", 16), nested("blockquote", 17), "DEPTH_INVALID"),
        (nested("b", 16), nested("b", 17), "DEPTH_INVALID"),
        (nested("b", 15, "<br>"), nested("b", 16, "<br>"), "DEPTH_INVALID"),
        (rows(20), rows(21), "TABLE_COLS_TOO_MANY"),
        (rows(2, '<th colspan="10">x</th>'), rows(3, '<th colspan="7">x</th>'), "TABLE_COLS_TOO_MANY"),
    ],
)  # fmt: skip
def test_a_limit_is_the_last_that_fits(fits: str, over: str, name: str) -> None:
    read(fits)
    assert refused(over) == f"Bad Request: RICH_MESSAGE_{name}"


def test_marks_and_bars_are_no_characters_of_the_message() -> None:
    item = "<li>" + "x" * 16384 + "</li>"
    read(f"<ul>{item * 2}</ul>")


@pytest.mark.parametrize("html", ["<p>to ann@example.com</p>", "<b>a.b+c@d-e.org</b>", "<code>root@host.lan</code>"])
def test_an_address_spoils_the_message_unless_detection_is_off(html: str) -> None:
    for fields in ({}, {"skip_entity_detection": False}):
        assert refused(html, **fields) == "Bad Request: RICH_MESSAGE_EMAIL_INVALID"
    assert "@" in read(html, skip_entity_detection=True).text


@pytest.mark.parametrize("html", ["<p>@ann, a @ b, x@y</p>"])
def test_not_every_sign_is_an_address(html: str) -> None:
    read(html)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "rich message must be non-empty"),
        ({}, "rich message must be non-empty"),
        ({"is_rtl": True}, "rich message must be non-empty"),
        ({"html": "x", "markdown": "x"}, "emulator: rich_message: html and markdown are given together"),
        ({"markdown": "x"}, "emulator: rich_message: the field 'markdown' is unknown or not modelled"),
        ({"blocks": []}, "emulator: rich_message: the field 'blocks' is unknown or not modelled"),
        ({"html": "x", "media": []}, "emulator: rich_message: the field 'media' is unknown or not modelled"),
        ({"html": 5}, "emulator: rich_message.html must be str, not 5"),
        ({"html": "x", "is_rtl": 1}, "emulator: rich_message.is_rtl must be bool, not 1"),
    ],
)
def test_html_alone_is_modelled(given: dict[str, Any] | None, said: str) -> None:
    with pytest.raises(Refused) as caught:
        read_rich(given)
    assert caught.value.description == f"Bad Request: {said}"


def test_a_thinking_block_is_for_drafts() -> None:
    assert read_rich({"html": "<tg-thinking>Looking…</tg-thinking>"}, draft=True).text == "Looking…"


PIECES = ["<p>", "</p>", "<b>", "</b>", "<ul>", "<li>", "</li>", "</ul>", "<hr/>", "&amp;", "x", " ", "<", "&", "<br>"]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join))
def test_any_source_is_read_or_refused(html: str) -> None:
    with contextlib.suppress(Refused):
        assert read(html).text.strip()


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="<>&@", exclude_categories=("C", "Z")), min_size=1)


@given(st.lists(WORDS, min_size=1, max_size=20))
def test_no_word_is_lost_between_elements(words: list[str]) -> None:
    html = "".join(f"<ul><li><p>{word}</p><blockquote>{word}</blockquote>{word}</li></ul>" for word in words)
    assert read(html).text.split() == [part for word in words for part in ("•", word, word, word)]
