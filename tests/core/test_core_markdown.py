"""Markdown as a message shows it: how each construct reads, and that of any text no word is lost.

The emulator judges the entities: it refuses what Telegram would drop or split.
"""

from __future__ import annotations

import html
import re
from collections import Counter

import pytest
from documents import Document, documents, scraps, unseen, words
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.core.markup.columns import WIDEST, laid_out, width
from triolet.core.markup.markdown import (
    MAX_ENTITIES,
    MAX_ENTITY_BYTES,
    MAX_SOURCE,
    compose,
    entity_bytes,
    render,
    render_rich,
)
from triolet.core.markup.paper import Paper
from triolet.core.markup.rich import MAX_COLUMNS, MAX_DEPTH
from triolet.core.markup.syntax import clean, parse, spans, veil
from triolet.core.markup.writer import MAX_URL, RULE, Writer, is_linkable
from triolet.core.text import Entity, FormattedText, utf16_slice
from triolet.emulator.entities import check_entities
from triolet.emulator.rich import read_rich
from triolet.emulator.text import FormattedText as EmulatedText

Marks = list[tuple[str, ...]]


def marks(message: FormattedText) -> Marks:
    """What is marked how: (type, text, url or language)."""
    return [
        (each.type, utf16_slice(message.text, each.offset, each.length), *filter(None, (each.url, each.language)))
        for each in message.entities
    ]


def check(message: FormattedText) -> None:
    """The server takes it, and as it is: nothing is trimmed, nothing is left out."""
    entities = check_entities(message.text, [entity.to_json() for entity in message.entities])
    assert EmulatedText(message.text, entities).trimmed() == EmulatedText(message.text, entities)
    assert all(covered.strip() for _, covered, *_ in marks(message))
    assert entity_bytes(message.entities) <= MAX_ENTITY_BYTES


READS: list[tuple[str, str, str, Marks]] = [
    ("nothing", "", "", []),
    ("white space alone", " \n\t\n ", "", []),
    ("a paragraph keeps its lines", "a\nb  \nc\\\nd", "a\nb\nc\nd", []),
    ("one blank line for many", "a\n\n\n\nb", "a\n\nb", []),
    ("no blank line where there is none", "a\n# b\nc", "a\nb\nc", [("bold", "b")]),
    ("styles", "**b** *i* __b__ _i_ ~~s~~", "b i b i s",
     [("bold", "b"), ("italic", "i"), ("bold", "b"), ("italic", "i"), ("strikethrough", "s")]),
    ("styles in styles", "***x*** **a *b* c**", "x a b c",
     [("italic", "x"), ("bold", "x"), ("bold", "a b c"), ("italic", "b")]),
    ("a style in itself", "**a __b__ c**", "a b c", [("bold", "a b c")]),
    ("no styles", "a*b 5 * 3 snake_case 2**8 \\*x\\* _", "a*b 5 * 3 snake_case 2**8 *x* _", []),
    ("astral characters", "😀 **b😀** `c`", "😀 b😀 c", [("bold", "b😀"), ("code", "c")]),
    ("one tilde is a tilde", "~5~ to ~6 ~~gone~~ \\~7", "~5~ to ~6 gone ~7", [("strikethrough", "gone")]),
    ("dollars and bars", "$5-$10 $x$ a || b || c", "$5-$10 $x$ a || b || c", []),
    ("an address keeps its signs", "https://x.yz/_a_/~b~ **https://x.yz/c**", "https://x.yz/_a_/~b~ https://x.yz/c",
     [("bold", "https://x.yz/c")]),
    ("references", "&lt;b&gt; &amp; AT&T &#65;", "<b> & AT&T A", []),
    # Headings, rules
    ("headings", "# a\n\n###### b #\n\nc\n===", "a\n\nb\n\nc", [("bold", "a"), ("bold", "b"), ("bold", "c")]),
    ("a heading with styles", "# a **b** `c`", "a b c", [("bold", "a b"), ("code", "c")]),
    ("a rule", "a\n\n***\nb", f"a\n\n{RULE}\nb", []),
    ("what looks like YAML", "---\na: b\n---\nc", f"{RULE}\na: b\nc", [("bold", "a: b")]),
    # Code
    ("code", "`a*b*` ``c`d``", "a*b* c`d", [("code", "a*b*"), ("code", "c`d")]),
    ("three backticks in a line", "a ```x y``` b", "a x y b", [("code", "x y")]),
    ("code in styles", "**a `b` c** *`d`*", "a b c d",
     [("bold", "a"), ("code", "b"), ("bold", "c"), ("code", "d")]),
    ("a fence", "a\n```py\nx  = 1\n\n  y\n```\nb", "a\nx  = 1\n\n  y\nb", [("pre", "x  = 1\n\n  y", "py")]),
    ("a fence of tildes", "~~~\n```\n~~~", "```", [("pre", "```")]),
    ("a fence of four", "````md\n```py\nx\n```\n````", "```py\nx\n```", [("pre", "```py\nx\n```", "md")]),
    ("a fence that nothing closes", "```py\nx", "x", [("pre", "x", "py")]),
    ("a fence with more than a language", "```py title=a.py\nx\n```", "title=a.py\nx", [("pre", "x", "py")]),
    ("a fence without code", "a\n```word more\n```", "a\nword more", [("pre", "word more")]),
    ("indentation at the beginning", "```\n  x\n```", "  x", [("pre", "  x")]),
    ("indented code", "a\n\n    b\n      c\n\nd", "a\n\nb\n  c\n\nd", [("pre", "b\n  c")]),
    ("a code block with Windows' line ends", "```py\r\nx\r\ny\r\n```\r\nz\r\n", "x\ny\nz", [("pre", "x\ny", "py")]),
    # Lists
    ("a list", "- a\n* b\n+ c", "• a\n• b\n• c", []),
    ("its own numbers", "3. a\n3. b\n\n7) c", "3. a\n3. b\n\n7) c", []),
    ("lists in lists", "- a\n  - b\n    1. c\n- d", "• a\n  • b\n    1. c\n• d", []),
    ("an item's lines", "- a\n  b\n\n  c", "• a\n  b\n\n  c", []),
    ("tasks", "- [ ] a\n- [x] **b**\n\n1. [x] c", "☐ a\n☑ b\n\n1. ☑ c", [("bold", "b")]),
    ("tasks in a loose list", "- [ ] a\n\n- [x] b", "☐ a\n\n☑ b", []),
    ("a list at once in a list", "- - a\n- 1. b", "• • a\n• 1. b", []),
    ("items without text", "- a\n-\n- b\n\n1.", "• a\n•\n• b\n\n1.", []),
    ("code in an item", "1. a\n   ```sh\n   ls\n   ```\n   b\n2. c", "1. a\nls\n  b\n2. c", [("pre", "ls", "sh")]),
    ("a code block as an item", "- ```\n  x\n  ```", "•\nx", [("pre", "x")]),
    ("a heading in an item", "- # a\n  b", "• a\n  b", [("bold", "a")]),
    ("a quote in an item", "- a\n  > b\n- c", "• a\n  b\n• c", [("blockquote", "b")]),
    # Quotes
    ("a quote", "> a\n> b\nc\n\nd", "a\nb\nc\n\nd", [("blockquote", "a\nb\nc")]),
    ("two quotes", "> a\n\n> b", "a\n\nb", [("blockquote", "a"), ("blockquote", "b")]),
    ("a quote in a quote", "> a\n> > b", "a\nb", [("blockquote", "a\nb")]),
    ("blocks in a quote", "> - a\n> \n> ```\n> x\n> ```\n> **b** `c`", "• a\n\nx\nb c",
     [("blockquote", "• a\n\nx\nb c"), ("pre", "x"), ("bold", "b"), ("code", "c")]),
    ("a quote of nothing", ">\n\na", "a", []),
    # Tables
    ("a table", "| a | bb |\n|--|:-:|\n| ccc | d |\n\ne", "a   | bb\n----+---\nccc | d\n\ne",
     [("pre", "a   | bb\n----+---\nccc | d")]),
    ("an empty cell", "|a|b|\n|-|-|\n||x|\n|y||", "a | b\n--+--\n  | x\ny |", [("pre", "a | b\n--+--\n  | x\ny |")]),
    ("formatted cells", "|a|\n|-|\n|**b** `c\\|d` [e](http://x.yz) ![](p)|",
     f"a\n{'-' * 23}\nb c|d e (http://x.yz) p", [("pre", f"a\n{'-' * 23}\nb c|d e (http://x.yz) p")]),
    ("cells beyond the width", "|a|\n|-|\n|b|c d|e|", "a |     |\n--+-----+--\nb | c d | e",
     [("pre", "a |     |\n--+-----+--\nb | c d | e")]),
    ("wide characters", "|語|b|\n|-|-|\n|a|é\u0301😀|", "語 | b\n---+----\na  | é\u0301😀",
     [("pre", "語 | b\n---+----\na  | é\u0301😀")]),
    ("a table without a header's words", "| | |\n|-|-|\n|a|b|", "a | b", [("pre", "a | b")]),
    ("a table in an item", "- a\n  |b|\n  |-|\n  |c|\n- d", "• a\nb\n-\nc\n• d", [("pre", "b\n-\nc")]),
    # Links
    ("a link", "[a b](https://x.yz/c_d 'a b')", "a b", [("text_link", "a b", "https://x.yz/c_d")]),
    ("a link with a title", '[a](http://x.yz "b c")', "a (b c)", [("text_link", "a", "http://x.yz")]),
    ("code in a link", "[`a`](http://x.yz) **[b](http://x.yz)**", "a b",
     [("text_link", "a", "http://x.yz"), ("bold", "b"), ("text_link", "b", "http://x.yz")]),
    ("a link without a label", "[](http://x.yz)", "http://x.yz", [("text_link", "http://x.yz", "http://x.yz")]),
    ("a link to nowhere", "[a]()", "a", []),
    ("links that Telegram would not take", "[a](/b) [c](tg://user?id=1) [d](<e f>) [`g`](g.py) [h](http://localhost)",
     "a (/b) c (tg://user?id=1) d (e f) g (g.py) h (http://localhost)", [("code", "g")]),
    ("a link that lies", "[bank.com](https://evil.org/x) [x.yz/a](https://x.yz/b)",
     "bank.com (https://evil.org/x) x.yz/a",
     [("text_link", "bank.com", "https://evil.org/x"), ("text_link", "x.yz/a", "https://x.yz/b")]),
    ("an image", "![a](http://x.yz/b.png) ![](http://x.yz/c)", "a http://x.yz/c",
     [("text_link", "a", "http://x.yz/b.png"), ("text_link", "http://x.yz/c", "http://x.yz/c")]),
    ("an image in a link", "[![a](http://x.yz)](http://v.wx)", "a", [("text_link", "a", "http://v.wx")]),
    ("a destination in brackets", "[a](<http://x.yz/b<c>) [d](http://x.yz/e<f)", "[a](<http://x.yz/b<c>) d",
     [("text_link", "d", "http://x.yz/e<f")]),
    ("an address in angle brackets", "<http://x.yz>", "<http://x.yz>", []),
    # What models mean as text
    ("types", "List<String> a<b", "List<String> a<b", []),
    ("tags", "<b>x</b> <think>\n\n<div>\n**b**\n</div>", "<b>x</b> <think>\n\n<div>\nb\n</div>", [("bold", "b")]),
    ("tags in code", "`<br>`\n```html\n<p>\n```", "<br>\n<p>", [("code", "<br>"), ("pre", "<p>", "html")]),
    ("a comment", "<!-- a\n\nb", "<!-- a\n\nb", []),
    ("escaped", "\\<b> \\\\<b>", "<b> \\<b>", []),
    ("no definitions", "[Note]: done\n\n[Note] [^1]\n\n[^1]: why", "[Note]: done\n\n[Note] [^1]\n\n[^1]: why", []),
    # What no message can hold
    ("control characters", "a\x00b\x1bc\u2028d\u2029e", "a b c d e", []),
    ("half a pair", "a\ud800b", "a\N{REPLACEMENT CHARACTER}b", []),
    ("bare returns", "a\rb", "a\nb", []),
    ("what cannot be seen", "**\u200b** \u200b", "", []),
]  # fmt: skip


@pytest.mark.case("M4")
@pytest.mark.parametrize(("source", "text", "marked"), [pytest.param(*row[1:], id=row[0]) for row in READS])
def test_how_it_reads(source: str, text: str, marked: Marks) -> None:
    message = render(source)
    check(message)
    assert message.text == text
    assert marks(message) == marked


@given(scraps())
@example("#\n    a")
@example("> \n~~~\na")
@example("[\u200d](http://a.bc)")
def test_any_text_is_a_message(source: str) -> None:
    message = render(source)
    check(message)
    assert lost(source, message.text + "".join(f"{each.url}{each.language}" for each in message.entities)) == Counter()


def lost(source: str, shown: str) -> Counter[str]:
    """The letters that are not shown, but for those of a task's mark and of an image's address within a link."""
    visible = html.unescape(clean(source))
    for syntax in (r"!\[.*?\]\(http://a.bc\)", r"!\[.*?\]\(<a b>\)", r"\[x\]"):
        visible = re.sub(syntax, "", visible, flags=re.DOTALL)
    return Counter(filter(str.isalnum, visible)) - Counter(filter(str.isalnum, shown))


@given(documents(4))
def test_every_word_is_shown_in_order(document: Document) -> None:
    message = compose(document.source)
    assert words(message.text) == words(document.source)
    assert unseen(message.text, document.words) is None


@given(st.integers(0, 3000), st.sampled_from([">", "[", "*a ", "- ", "`", "![", "**", "_a", "> - ", "[a](", "<", "|"]))
def test_nothing_is_too_deep(depth: int, opening: str) -> None:
    check(render(opening * depth + "x"))


def test_a_source_beyond_the_cap_is_shown_as_it_is() -> None:
    source = "**a** " * (MAX_SOURCE // 6) + "*a* *b*"
    assert len(source) > MAX_SOURCE
    assert render(source) == FormattedText(source)
    assert len(render(source[:MAX_SOURCE]).entities) == MAX_ENTITIES


def test_there_are_no_more_entities_than_a_message_holds() -> None:
    assert [entity.offset for entity in render("`a` " * 300).entities] == list(range(0, 2 * MAX_ENTITIES, 2))
    links = render(f"[a](https://x.yz/{'b' * 900}) " * 20)
    check(links)
    assert len(links.entities) == 9
    assert len(compose("`a` " * 300).entities) == 300


def test_a_link_may_be_long_but_not_endless() -> None:
    assert is_linkable("https://x.yz/" + "a" * (MAX_URL - 13))
    assert not is_linkable("https://x.yz/" + "a" * (MAX_URL - 12))


def test_entities_on_one_place_are_ordered_from_the_outer_to_the_inner() -> None:
    assert render("> # *a*").entities == (Entity("blockquote", 0, 1), Entity("bold", 0, 1), Entity("italic", 0, 1))


# The table's columns


def test_no_column_is_padded_to_more_than_the_widest() -> None:
    long = "x" * (WIDEST + 5)
    assert laid_out([["a", "b"], [long, "c"]]) == f"a{' ' * 29} | b\n{'-' * 30}-+--\n{long} | c"


def test_rows_may_differ_in_length() -> None:
    assert laid_out([["a"], [], ["b", "c"]]) == "a |\n--+--\n  |\nb | c"


@pytest.mark.parametrize(
    ("text", "columns"), [("ab", 2), ("語", 2), ("e\u0301", 1), ("\u200b", 0), ("é", 1), ("😀", 2)]
)
def test_the_width_of_a_text(text: str, columns: int) -> None:
    assert width(text) == columns


# What the parser is given


@given(scraps())
def test_cleaning_and_veiling_keep_every_place(source: str) -> None:
    cleaned = clean(source)
    assert len(veil(cleaned)) == len(cleaned) == len(source)
    assert clean(cleaned) == cleaned


@given(scraps())
def test_events_nest_and_their_places_are_the_source_s(source: str) -> None:
    cleaned = clean(source)
    opened = []
    for event in parse(cleaned):
        assert 0 <= event.start <= event.end <= len(cleaned)
        if event.kind == "start":
            opened.append(event)
        elif event.kind == "end":
            assert opened.pop().start == event.start
        elif event.kind == "text" and event.end - event.start == len(event.value) and "\n" not in event.value:
            assert cleaned[event.start : event.end].replace("\t", " ") == event.value.replace("\t", " ")
    assert opened == []


def test_what_a_construct_holds() -> None:
    source = "**a *b*** [`c`](d) ``e``"
    inner = {
        span.name: source[span.inner : span.inner_end] for span in spans(source, parse(source)) if span.name != "Code"
    }
    assert inner == {"Paragraph": source, "Strong": "a *b*", "Emphasis": "b", "Link": "`c`"}
    assert [source[span.inner : span.inner_end] for span in spans(source, parse(source)) if span.name == "Code"] == [
        "c",
        "e",
    ]


def test_what_the_parser_passes_over_is_shown() -> None:
    """As if it knew nothing of a part of the source."""
    source = "a\n\nlost words\n\nb"
    events = [event for event in parse(source) if not 3 <= event.start < 16]
    writer = Writer(source)
    assert writer.write(events).message() == FormattedText("a\n\nlost words\n\nb")
    assert writer.has_skipped


def test_paper_without_text_is_a_message_without_text() -> None:
    paper = Paper()
    paper.open("bold")
    paper.close()
    assert paper.message() == FormattedText("")


# Rich messages

RICH = [
    ("nothing", " \n", ""),
    ("a paragraph", "a & **b**\n*c* ~~d~~ `e`", "<p>a &amp; <b>b</b><br/><i>c</i> <s>d</s> <code>e</code></p>"),
    ("a heading", "## a", "<h2>a</h2>"),
    ("nothing empty", "# \n\n> \n\n- \n- b\n\n```\n```", "<ul><li>b</li></ul>"),
    ("nothing empty within what is empty then", "- -\n- b", "<ul><li>b</li></ul>"),
    ("a fence without code", "```py\n```", "<pre>py</pre>"),
    ("a fence with more than a language", "```py a b\nc\n```",
     '<p>a b</p><pre><code class="language-py">c</code></pre>'),
    ("a link without a label", "[](http://x.yz) [](a)", '<p><a href="http://x.yz">http://x.yz</a> a</p>'),
    ("a fence", "```py\na < b\n```", '<pre><code class="language-py">a &lt; b</code></pre>'),
    ("a list", "3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    ("tasks", "- [ ] a ☑\n- [x] b", "<ul><li>☐ a ☑</li><li>✅ b</li></ul>"),
    ("a table", "|a||\n|-|-|\n||b|",
     "<table><tr><th>a</th><th></th></tr><tr><td></td><td>b</td></tr></table>"),
    ("tags", "List<T> <b> <!--", "<p>List&lt;T&gt; &lt;b&gt; &lt;!--</p>"),
    ("dollars, bars, tildes", "$x$ a || b || c ~d~", "<p>$x$ a || b || c ~d~</p>"),
    ("footnotes", "[^1]\n\n[^1]: a", "<p>[^1]</p><p>[^1]: a</p>"),
    ("a link", "[a](http://x.yz)", '<p><a href="http://x.yz">a</a></p>'),
    ("a link that Telegram would not take", "[a](tg://user?id=1)", "<p>a (tg://user?id=1)</p>"),
    ("an image is not fetched", "![a](http://x.yz) ![](http://v.wx)",
     '<p><a href="http://x.yz">a</a> <a href="http://v.wx">http://v.wx</a></p>'),
    ("an image in a link", "[![a](http://x.yz)](http://v.wx)", '<p><a href="http://v.wx">a</a></p>'),
    ("cells beyond the width", "|a|\n|-|\n|b|c|", "<p>|a|<br/>|-|<br/>|b|c|</p>"),
    ("too many columns", "|" + "a|" * (MAX_COLUMNS + 1) + "\n|" + "-|" * (MAX_COLUMNS + 1),
     "<p>|" + "a|" * (MAX_COLUMNS + 1) + "<br/>|" + "-|" * (MAX_COLUMNS + 1) + "</p>"),
    ("too deep", ">" * (MAX_DEPTH - 1) + "*a*", "<p>" + "&gt;" * (MAX_DEPTH - 1) + "*a*</p>"),
    ("as deep as it may be", ">" * (MAX_DEPTH - 1) + "a\n\n---",
     "<blockquote>" * (MAX_DEPTH - 1) + "<p>a</p>" + "</blockquote>" * (MAX_DEPTH - 1) + "<hr/>"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "markup"), [pytest.param(*row[1:], id=row[0]) for row in RICH])
def test_how_it_reads_in_a_rich_message(source: str, markup: str) -> None:
    assert render_rich(source).html == markup
    assert render_rich(source).source == source


def test_a_rich_source_beyond_the_cap_is_plain() -> None:
    assert render_rich("*a*" * MAX_SOURCE).html == "<p>" + "*a*" * MAX_SOURCE + "</p>"


@example("word\n\n`\n`")
@given(scraps())
def test_any_text_is_a_rich_message(source: str) -> None:
    markup = render_rich(source).html
    assert not re.search(r"[\x00-\x08]", markup)
    if re.search(r">[^<]*[^\s<][^<]*<", markup):
        read_rich({"html": markup, "skip_entity_detection": True})
    shown = re.sub(r'<a href="([^"]*)">|<code class="([^"]*)">|<[^>]*>', r"\1\2", markup)
    missing = lost(source, html.unescape(shown))
    assert not {letter: times for letter, times in missing.items() if not letter.isdigit()}  # lists count anew
