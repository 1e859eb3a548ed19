"""Texts use plain words: no forbidden word in docstrings, comments, messages, help, pages and browser texts.

``words_left.json`` lists how many forbidden words each file that is not yet rewritten may have. After rewriting:
``python tests/test_words.py --renew`` lowers these numbers and follows moved files; the sum never rises.
``python tests/test_words.py FILE ...`` prints the places in some files.
"""

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
LEFT = Path(__file__).with_name("words_left.json")
UNIT = (
    "answer|annotator|b-scan|batch|case|class|core|device|epoch|eye|file|finding|fold|grader|image|label|lesion|line|"
    "mask|megapixel|member|network|patient|person|photograph|pixel|project|question|reader|region|row|sample|scan|set|"
    "slice|split|stage|step|token|user|volume"
)
SMALL = (
    "about|and|around|as|at|by|for|from|if|in|into|of|on|or|than|that|to|when|where|whether|which|while|with|without"
)
RULES: tuple[tuple[str, str], ...] = (
    (r"\b(tell|tells|telling|told)\b", "write: reports, prints, shows, states"),
    (r"\b(say|says|saying|said)\b", "write: states, means, reports; 'set' or 'give' for an option"),
    (r"\b(stand|stands|standing|stood)\b", "write: is, appears, is written"),
    (r"\b(lie|lies|lying)\b", "write: is, are (in a place)"),
    (r"\b(hold|holds|held|holding)\b[^.;:]{0,40}\bagainst\b", "write: compare with, evaluate"),
    (r"\bhand(s|ed|ing)?\b (\w+ ){0,3}(over|to)\b", "write: give, pass, return"),
    (r"\b(mend|mends|mended|mending|heal|heals|healed|healing)\b", "write: repair, correct"),
    (r"(?<!there )\b(is|are) no (?!longer\b|more\b|less\b|other\b)\w", "write: is not"),
    (r"\b(is|are) (none|neither) of\b", "write: must be one of [...], got X"),
    (rf"\b(a|an|one) (\w+ )?(?!({SMALL})\b)\w+(?<!s) an? ({UNIT})\b", "write: per image, ..."),
    (r"\b(seconds|mm|figures|numbers|hours|minutes) an? \w", "write: per image, ..."),
    (r"\b(reader|readers|grader|graders)\b", "a person who marks is an annotator; a class that reads has a name"),
    (r"\b(room|rooms)\b(?! for)", "write: package, annotation project"),
    (r"\b(verb|verbs)\b", "write: command"),
    (r"\bknown-ness\b", "write: label validity, what is known"),
    (r"\b(teach|teaches|taught)\b", "write: train, is learnt from, counts in the loss"),
    (r"\b(whence|whither|lest|thereof|whereof|thereby|hitherto|albeit)\b", "write a plain sentence"),
    (r"(?<!DDR-)\bdatasets?\b(?!\.toml|\.json|/)", "write: data set"),
    (
        r"\b(behavior|(?<!PALETTE )color|colors|gray|grayscale|(?<!C\. )localization|normalization|labeled|labeling)\b",
        "British spelling",
    ),
)
COMPILED = tuple((re.compile(pattern, re.IGNORECASE), remedy) for pattern, remedy in RULES)
WHAT = (re.compile(r"\AWhat\b"), "begin with an imperative verb or a standard noun")
CODE = re.compile(r"``.+?``|`[^`\n]+`|https?://\S+|\[[^\]\n]*\]\([^)\n]*\)", re.DOTALL)
KEYWORD = re.compile(r"(?m)^ +graders?: |\bgraders?=|([\"'])graders?\1")  # of former files; a network that grades
FENCE = re.compile(r"^```.*?^```[^\n]*$", re.MULTILINE | re.DOTALL)
SCRIPT = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`", re.MULTILINE | re.DOTALL
)
TAG = re.compile(r"<(script|style)\b.*?</\1>|\{[{%#].*?[#%}]\}|<[^>]*>", re.DOTALL | re.IGNORECASE)

Text = tuple[int, str, bool]  # line, text, whether it is a docstring


def blank(found: re.Match[str]) -> str:
    """As many lines as there were, and a mark that ends a sentence's pattern."""
    return "\n" * found.group().count("\n") or " | "


def fence(found: re.Match[str]) -> str:
    """Only the comments of a block of commands."""
    lines = found.group().splitlines()
    return "\n".join("#" + line.partition(" #")[2] if " #" in line else "" for line in lines)


def python_texts(source: str) -> Iterator[Text]:
    tree = ast.parse(source)
    docs, quoted = set(), set()  # titles and citations are quoted as printed
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            docs.add(id(body[0].value))
        if isinstance(node, ast.keyword) and node.arg in ("title", "citation"):
            quoted.add(id(node.value))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in quoted:
            continue
        if " " in node.value:
            yield node.lineno, node.value, id(node) in docs
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string, False


def texts(path: Path) -> Iterator[Text]:
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from python_texts(source)
    elif path.suffix == ".md":
        yield 1, FENCE.sub(fence, source), False
    elif path.suffix == ".js":
        for found in SCRIPT.finditer(source):
            if " " in found.group().strip():
                yield source[: found.start()].count("\n") + 1, re.sub(r"\$\{[^}]*\}", "|", found.group()), False
    elif path.suffix == ".css":  # names of properties, such as color, are not English
        for found in re.finditer(r"/\*.*?\*/", source, re.DOTALL):
            yield source[: found.start()].count("\n") + 1, found.group(), False
    else:
        yield 1, TAG.sub(blank, source), False


def found_in(path: Path) -> list[str]:
    """Each place with a forbidden word: line, words, remedy."""
    places = []
    for line, text, docstring in texts(path):
        plain = KEYWORD.sub(blank, CODE.sub(blank, text))
        for pattern, remedy in (*COMPILED, WHAT) if docstring else COMPILED:
            for found in pattern.finditer(plain):
                where = line + plain[: found.start()].count("\n")
                places.append((where, f"{path.relative_to(TOP)}:{where}: {found.group()!r}: {remedy}"))
    return [place for _, place in sorted(places)]


def files() -> list[Path]:
    pages = [TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "CHANGELOG.md", *(TOP / "docs").rglob("*.md")]
    source = [p for end in ("py", "js", "html", "j2", "css") for p in (TOP / "src").rglob(f"*.{end}")]
    return sorted(p for p in (*pages, *source) if "vendor" not in p.parts)


def name(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def left() -> dict[str, int]:
    return dict(json.loads(LEFT.read_text(encoding="utf-8"))) if LEFT.exists() else {}


def renewed(allowed: dict[str, int], counted: dict[str, int]) -> dict[str, int]:
    """Lower numbers; files that are gone leave theirs to files of other names."""
    free = sum(number for file, number in allowed.items() if file not in counted)
    new: dict[str, int] = {}
    for file, number in sorted(counted.items()):
        if file in allowed:
            new[file] = min(number, allowed[file])
        elif free:
            new[file] = min(number, free)
            free -= new[file]
    return {file: number for file, number in new.items() if number}


@pytest.mark.parametrize("path", files(), ids=name)
def test_no_forbidden_word(path: Path) -> None:
    places, allowed = found_in(path), left().get(name(path), 0)
    listed = "\n".join(places)
    assert len(places) <= allowed, f"{len(places)} forbidden words, allowed are {allowed}:\n{listed}"


def test_forbidden_words_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "TOP", tmp_path)
    source = '"""What it says."""\nx = f"{y} is none of {z}"  # a row an image lies here\nkey = "said"\n'
    (tmp_path / "a.py").write_text(source, encoding="utf-8")
    assert [place.partition(": ")[2].partition(":")[0] for place in found_in(tmp_path / "a.py")] == [
        "'What'",
        "'says'",
        "'a row an image'",
        "'is none of'",
        "'lies'",
    ]
    page = "It `told` us.\n```console\nfoveate tells  # it tells\n```\nThere is no fault. One is told.\n"
    (tmp_path / "a.md").write_text(page, encoding="utf-8")
    assert [place.partition(": ")[0] for place in found_in(tmp_path / "a.md")] == ["a.md:3", "a.md:5"]
    (tmp_path / "a.js").write_text("let told = 'told';\nwarn('a file says'); // lies\n", encoding="utf-8")
    assert [place.partition(": ")[0] for place in found_in(tmp_path / "a.js")] == ["a.js:2", "a.js:2"]
    (tmp_path / "a.html").write_text("<p title='told'>One\n<b>said</b>\n<script>told</script>", encoding="utf-8")
    assert [place.partition(": ")[0] for place in found_in(tmp_path / "a.html")] == ["a.html:2"]
    (tmp_path / "a.css").write_text("p { color: red }\n/* told */", encoding="utf-8")
    assert [place.partition(": ")[0] for place in found_in(tmp_path / "a.css")] == ["a.css:2"]


def test_a_keyword_grader_is_allowed_and_a_person_is_an_annotator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "TOP", tmp_path)
    doc = '"""Read.\n\n    grader: who drew it, "grader": 1.\n    mask: of a grader.\n"""\n'
    source = doc + 'text = f"{a}: graders={b}"\n'
    (tmp_path / "a.py").write_text(source, encoding="utf-8")
    assert [place.partition(": ")[0] for place in found_in(tmp_path / "a.py")] == ["a.py:4"]


def test_renewing_lowers_and_follows_moved_files() -> None:
    assert renewed({"a": 3, "b": 2}, {"a": 1, "b": 5}) == {"a": 1, "b": 2}
    assert renewed({"a": 3}, {"c": 2, "d": 4}) == {"c": 2, "d": 1}
    assert renewed({"a": 3}, {"a": 0, "new": 4}) == {}


def main(words: list[str]) -> None:
    if words == ["--renew"]:
        new = renewed(left(), {name(path): len(found_in(path)) for path in files()})
        LEFT.write_text(json.dumps(new, indent=0, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{sum(new.values())} forbidden words left in {len(new)} files")
    elif words:
        print("\n".join(place for word in words for place in found_in(Path(word).resolve())))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
