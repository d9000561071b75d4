"""A page as text: what a reader would see, with the targets of links, in whatever pieces it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.tools.readable import ReadablePage

PAGES = {
    "<p>One\n two</p><p>three</p>": "One two\n\nthree",
    "a<br>b<hr>c": "a\nb\n\nc",
    "<ul><li>one<li>two</ul>after": "- one\n- two\n\nafter",
    "<table><tr><td>a<td>b<tr><td>c</table>": "a b\nc",
    "x &amp; y &lt;z&gt;": "x & y <z>",
    "<script>alert('<p>no')</script>yes<style>p {}</style>": "yes",
    "<svg><title>no</title><p>no</p></svg>yes<noscript><p>no</noscript>": "yes",
    '<a href="/b?c=1&amp;d">there</a>.': "there (https://web.test/b?c=1&d).",
    '<a href="//other.test">there</a>': "there (https://other.test)",
    '<a href="#top">a</a><a href="javascript:x()">b</a><a href="mailto:x@y">c</a><a>d</a>': "abcd",
    '<a href="http://[">a</a>': "a",
    f'<a href="/{"x" * 300}">a</a>': "a",
    "<p>open <b>and <!-- unseen --> never closed": "open and never closed",
    "<!doctype html><html><head><meta charset=utf-8></head><body>body": "body",
}


def read(*pieces: str) -> ReadablePage:
    page = ReadablePage("https://web.test/a/")
    for piece in pieces:
        page.feed(piece)
    return page


@pytest.mark.parametrize("source", PAGES)
def test_a_page_as_text(source: str) -> None:
    assert read(source + "<i></i>").text == PAGES[source]


def test_the_title_is_not_the_text() -> None:
    page = read("<title> A\n page </title><h1>Head</h1>text<p></p>")
    assert (page.title, page.text) == ("A page", "Head\n\ntext")


@given(
    st.lists(st.sampled_from(["<p>", "</p>", "<a href='/x'>", "</a>", "<", ">", "&", "<!--", "-->", "]]>", "x", "é"]))
)
def test_no_page_is_too_broken(pieces: list[str]) -> None:
    page = read(*pieces)
    assert len(page.text) <= page.size
