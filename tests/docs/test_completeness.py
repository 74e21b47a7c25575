"""Nothing that exists is missing from the documentation, and nothing in it points nowhere."""

from __future__ import annotations

import ast
import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import doc_pages
import pandas as pd
import pluggy
import pytest
from _ext import signatures
from doc_pages import DOCS, ROOT, rendered, section
from markdown_it import MarkdownIt
from scipy import stats

import ucbench
import ucbench.testing
import ucbench_augment
import ucbench_squeeze
from ucbench.cli.app import main
from ucbench.matrix.axes import AXES
from ucbench.plugins import hookspecs
from ucbench.plugins.builtin import REFERENCES
from ucbench.plugins.registry import installed
from ucbench.plugins.specs import SPEC_KINDS
from ucbench.results.columns import BOARD, COLUMNS
from ucbench.results.records import faults
from ucbench_cloud import azure, vertex

#: Where the methods of a kind are explained by hand; a kind that is not here has generated pages only.
EXPLAINED = {
    "dataset": "datasets.md",
    "poisoner": "poisoners.md",
    "labeling": "labelings.md",
    "defense": "defenses.md",
    "metric": "analyze.md",
}
#: Boards of suites whose data come along; others are keyed from images that would have to be downloaded.
BOARDS = [
    suite.parent
    for suite in sorted((ROOT / "leaderboards").glob("*/v[1-9]*/suite.toml"))
    if {name.partition(":")[0] for name in re.findall(r'^dataset = \[?"(.+?)"', suite.read_text(), re.MULTILINE)}
    <= {"digits", "photos"}
]
#: Pages that quote options of other programs.
QUOTES_OTHERS = {"audit.md", "CONTRIBUTING.md"}


def helped(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    capsys.readouterr()
    assert main([*command, "--help"]) == 0
    return capsys.readouterr().out


def below(capsys: pytest.CaptureFixture[str], *path: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command as its own ``--help`` names it, with that help."""
    text = helped(capsys, *path)
    yield path, text
    for name in re.findall(r"^│ ([a-z][\w-]*) ", text, re.MULTILINE):
        yield from below(capsys, *path, name)


def test_cli_page_has_every_command_and_option_of_the_help(capsys):
    page = rendered(DOCS / "cli.md")
    found = dict(below(capsys))
    assert {("run",), ("leaderboard", "build")} <= found.keys()
    for path, text in found.items():
        part = section(page, f"## `{' '.join(('ucbench', *path))}`")
        options = re.findall(r"^│[ *]+(--[\w-]+)", text, re.MULTILINE)
        missing = [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", part)]
        assert options
        assert missing == [], f"ucbench {' '.join(path)}"


def test_cli_page_lists_every_axis_in_order():
    part = section(rendered(DOCS / "cli.md"), "## Axes")
    assert re.findall(r"^\| `(--[\w-]+)` \|", part, re.MULTILINE) == [axis.option for axis in AXES]


def test_cli_page_names_the_environment_variables_of_every_victim():
    page = section((DOCS / "cli.md").read_text(encoding="utf-8"), "## Environment variables")
    frameworks = [spec.name for spec in installed().specs("victim") if spec.load.endswith(":FrameworkTrainer")]
    needed = {f"UCBENCH_{name.upper()}_PYTHON" for name in frameworks}
    needed |= {*azure.VARIABLES, *vertex.VARIABLES}
    assert needed - set(re.findall(r"`(\w+)`", page)) == set()


def test_install_page_lists_exactly_the_extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    part = section((DOCS / "install.md").read_text(encoding="utf-8"), "## Extras")
    cells = re.findall(r"^\| (`.+?) \|", part, re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted(project["optional-dependencies"])


def test_api_page_describes_every_hook_with_its_arguments():
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    specified = {name: vars(manager.hook)[name].spec.argnames for name in vars(manager.hook) if name != "__dict__"}
    assert "ucbench_poisoners" in specified
    page = section(rendered(DOCS / "api.md"), "## Hooks")
    for name, arguments in specified.items():
        assert section(page, f"### `{name}({', '.join(arguments)})`").strip()


def own_records(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    capsys.readouterr()
    assert main(["list", "--json"]) == 0
    return [record for record in json.loads(capsys.readouterr().out) if record["distribution"] == "ucbench"]


def test_method_pages_show_parameters_presets_and_names(capsys):
    pages = doc_pages.method_pages()
    records = own_records(capsys)
    assert {f"{record['kind']}-{record['name']}.md" for record in records} == set(pages)
    for record in records:
        page = pages[f"{record['kind']}-{record['name']}.md"]
        capsys.readouterr()
        assert main(["show", record["kind"], record["name"], "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        parameters = [f"\n| `{parameter['name']}` | `" for parameter in shown["parameters"]]
        presets = [f"`{record['name']}@{preset}`" for preset in shown["presets"] if preset != "standard"]
        expected = [*parameters, *presets, *(f"`{alias}`" for alias in record["aliases"])]
        assert [text for text in expected if text not in page] == [], f"{record['kind']} {record['name']}"


def test_platforms_page_shows_what_every_extra_takes():
    rows = json.loads((DOCS / "_data" / "platforms.json").read_text(encoding="utf-8"))
    victims = [spec for spec in installed().specs("victim") if spec.load.endswith(":FrameworkTrainer")]
    assert {f"ucbench[{row['extra']}]" for row in rows} == {"ucbench[datasets]", *(spec.extra for spec in victims)}


def test_methods_page_lists_every_shipped_suite():
    page = section(rendered(DOCS / "methods.md"), "## Suites")
    for path in (ROOT / "benchmarks" / "suites").glob("*.toml"):
        suite = tomllib.loads(path.read_text(encoding="utf-8"))
        assert f"| `{suite['name']}` | {suite['version']} | {suite['title']} |" in page


def test_method_pages_show_figures_of_the_published_results():
    """Computed here another way: pandas for the groups, the standard error for the interval."""
    checked = 0
    for path in sorted((ROOT / "leaderboards").rglob("results.csv")):
        table = pd.read_csv(path, dtype={"epsilon": str}, keep_default_na=False, na_values=[""])
        shared = table.columns[: table.columns.get_loc("craft_seed")].tolist()
        for _, rows in table[table["status"] == "ok"].groupby(shared, dropna=False):
            by_seed = rows.groupby("craft_seed")["test_accuracy"].mean()
            if len(by_seed) < 3:
                continue
            page = doc_pages.method_pages()[f"poisoner-{rows['poisoner'].iloc[0].partition(':')[0]}.md"]
            half = by_seed.sem() * stats.t.ppf(0.975, len(by_seed) - 1)
            shown = re.findall(rf"\| {len(by_seed)} \| ([\d.]+)\s±\s([\d.]+) \|", page)
            assert any(abs(float(m) - by_seed.mean()) < 0.06 and abs(float(h) - half) < 0.06 for m, h in shown), path
            checked += 1
    assert checked


@pytest.mark.parametrize("folder", BOARDS, ids=lambda folder: "-".join(folder.parts[-2:]))
def test_published_boards_pass_the_leaderboard_check(folder, capsys):
    assert main(["leaderboard", "check", folder.parent.name, str(folder)]) == 0, capsys.readouterr().err


def test_published_records_are_well_formed():
    published = sorted((ROOT / "leaderboards").glob("*/v[1-9]*/records/*.json"))
    assert published
    found = {path: faults(json.loads(path.read_text(encoding="utf-8"))) for path in published}
    assert {path.name: wrong for path, wrong in found.items() if wrong} == {}


def test_methods_page_lists_every_method_and_a_page_explains_it(capsys):
    listed = rendered(DOCS / "methods.md")
    marked = re.findall(r"<!-- methods: (\w+) -->", (DOCS / "methods.md").read_text(encoding="utf-8"))
    assert sorted(marked) == sorted(SPEC_KINDS)
    for record in own_records(capsys):
        kind, name = record["kind"], record["name"]
        assert f"[`{name}`](methods/{kind}-{name}.md)" in listed
        if kind in EXPLAINED:
            page = "protocol.md" if name in REFERENCES else EXPLAINED[kind]
            text = (DOCS / page).read_text(encoding="utf-8")
            assert re.search(rf"`{re.escape(name)}[`:@]", text), f"{kind} {name} is missing from {page}"


def test_kornia_table_has_a_row_for_every_defense_that_changes_images():
    part = section(rendered(DOCS / "_methods" / "defense-kornia.md"), "## Ours and kornia's")
    names = [spec.name for plugin in (ucbench_augment, ucbench_squeeze) for spec in plugin.ucbench_defenses()]
    missing = [name for name in names if not re.search(rf"^\| [^|]*\b{name}\b", part, re.MULTILINE)]
    assert missing == ["iss"]  # grayscale and jpeg one after the other, which have rows


def test_defenses_page_names_every_poisoner_that_perturbs_further_images():
    part = section((DOCS / "defenses.md").read_text(encoding="utf-8"), "## Access to the protector")
    listed = re.search(r"perturb further images:\*\* (.+?) can, ", part, re.DOTALL)
    able = set()
    for spec in installed().specs("poisoner"):
        module, _, name = spec.load.partition(":")
        if hasattr(getattr(importlib.import_module(module), name), "assign"):
            able.add(spec.name)
    assert set(re.findall(r"`([\w-]+)`", listed[1])) == able - {"positive", "release"}


@pytest.mark.parametrize(
    ("heading", "columns"),
    [("## results.csv", COLUMNS), ("## leaderboard.csv", [column.name for column in BOARD])],
)
def test_csv_page_describes_exactly_the_columns_of_each_file(heading, columns):
    part = section(rendered(DOCS / "csv.md"), heading)
    cells = re.findall(r"^\| (`.+?) \|", part, re.MULTILINE)
    described = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(described) == sorted(columns)


def test_api_page_describes_every_public_name_once():
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    directives = re.findall(r"^\.\. auto(?:class|function|data):: (?:ucbench\.)?(\w+)(?:\(\))?$", page, re.MULTILINE)
    rows = re.findall(r"^\| `ucbench\.(\w+)` \|", page, re.MULTILINE)
    assert sorted(directives + rows) == sorted(ucbench.__all__)


def test_api_page_shows_the_signatures_of_this_version():
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert signatures.written(page) == page, "run: python docs/_ext/signatures.py"


def test_signature_table_leaves_out_types_and_marks_keywords():
    table = signatures.overview(".. autofunction:: craft\n\n.. autoclass:: Budget\n   :members: project\n")
    assert "| `craft(images, labels, poisoner, *, surrogate=None, " in table
    assert "| `Budget(norm, epsilon)` |" in table
    assert "| `Budget.project(delta)` | Project perturbations to the budget and round them to 8-bit levels |" in table


def test_api_page_describes_every_name_of_the_testing_module():
    assert re.search(r"automodule:: ucbench\.testing\n +:members:", rendered(DOCS / "api.md"))
    assert all(getattr(ucbench.testing, name).__doc__ for name in ucbench.testing.__all__)


def test_architecture_page_names_only_files_that_exist():
    part = section((DOCS / "architecture.md").read_text(encoding="utf-8"), "## Where a new thing goes")
    named = re.findall(r"`([\w/.]+)`", part)
    assert "results/columns.py" in named
    missing = [path for path in named if not any((folder / path).exists() for folder in (ROOT, ROOT / "ucbench"))]
    assert missing == []


def source_texts() -> str:
    """All texts in the code, one a line, those with values in their gaps in pieces."""
    trees = (
        ast.parse(path.read_text("utf-8")) for room in ("ucbench", "plugins") for path in (ROOT / room).rglob("*.py")
    )
    nodes = (node for tree in trees for node in ast.walk(tree))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_messages_of_the_troubleshooting_page_are_those_of_the_code():
    page = (DOCS / "troubleshoot.md").read_text(encoding="utf-8")
    quoted = [
        message
        for entry in re.findall(r"^- \*\*(.+)\*\*", page, re.MULTILINE)
        for message in re.findall("`([^`]+ [^`]+)`", entry)
    ]
    assert len(quoted) > 15
    known = source_texts()
    pieces = {piece.strip(): message for message in quoted for piece in message.split("...") if len(piece.strip()) > 3}
    assert {message for piece, message in pieces.items() if piece not in known} == set()


@pytest.mark.parametrize("page", doc_pages.pages(), ids=lambda page: page.stem)
def test_page_has_one_title_and_says_below_it_what_it_is_for(page):
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    assert [place for place, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h1"] == [0]
    below = [token.type for token in tokens[3:]]
    assert "paragraph_open" in below[: below.index("heading_open") if "heading_open" in below else None]


@pytest.mark.parametrize(
    "word", ["scrape", "Glaze", "Nightshade", "Mist", "copyright", "artist", "availability poisoning"]
)
def test_owners_find_the_answers_by_the_words_they_know(word):
    assert re.search(rf"\b{word}", (DOCS / "faq.md").read_text(encoding="utf-8"), re.IGNORECASE)


def test_toctrees_list_every_page_and_no_other():
    entries = [
        entry
        for page in DOCS.glob("*.md")
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for entry in tree.splitlines()
        if entry and not entry.startswith(":")
    ]
    found = [path.relative_to(DOCS).with_suffix("").as_posix() for path in [*DOCS.glob("*.md"), *doc_pages.generated()]]
    lost = [name for name in found if name != "index" and not any(fnmatch(name, entry) for entry in entries)]
    assert lost == []
    assert [entry for entry in entries if not any(fnmatch(name, entry) for name in found)] == []


def texts() -> dict[Path, str]:
    """Everything with links: pages, with their generated parts, and what becomes a page."""
    written = [*doc_pages.pages(), *doc_pages.published.sources().values(), doc_pages.results.FOLDER_README]
    return {path: rendered(path) for path in written} | doc_pages.generated()


def anchors(text: str) -> set[str]:
    """Anchors of headings, as forges and the site make them."""
    tokens = MarkdownIt().parse(text)
    headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """Targets of the links of a page, those in code left out."""
    parser = MarkdownIt("commonmark").enable("table")
    return [
        child.attrs["href"] if child.type == "link_open" else child.attrs["src"]
        for token in parser.parse(text)
        for child in token.children or ()
        if child.type in ("link_open", "image")
    ]


def test_links_lead_to_existing_files_and_headings():
    known = texts()
    wrong = []
    for page, text in known.items():
        for link in links(text):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            there = target in known or target.exists()
            if there and anchor:
                there = anchor in anchors(known.get(target) or target.read_text(encoding="utf-8"))
            if not there:
                wrong.append(f"{page.relative_to(ROOT)}: {link}")
    assert wrong == []


def spans(text: str) -> list[str]:
    """Inline code of a page."""
    parser = MarkdownIt("commonmark").enable("table")
    return [child.content for t in parser.parse(text) for child in t.children or () if child.type == "code_inline"]


def command_in(span: str, commands: set[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The words of inline code that should be a command, groups followed; None if it is no command line."""
    words = span.split()
    if words[:1] != ["ucbench"]:
        return None
    path: tuple[str, ...] = ()
    for word in words[1:]:
        is_group = any(command[: len(path)] == path and len(command) > len(path) for command in commands)
        if not is_group or not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        path = (*path, word)
    return path


def test_pages_name_only_existing_commands_and_options(capsys):
    helps = dict(below(capsys))
    options = {option for text in helps.values() for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", text)}
    wrong = []
    for page, text in texts().items():
        for span in spans(text):
            command = command_in(span, set(helps))
            if command is not None and command not in helps:
                wrong.append(f"{page.relative_to(ROOT)}: {span}")
            named = [] if page.name in QUOTES_OTHERS else re.findall(r"(?<![\w-])--[a-z][\w-]*", span)
            wrong += [f"{page.relative_to(ROOT)}: {span}" for option in named if option not in options]
    assert wrong == []


def test_version_is_equal_in_every_file():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version = {{{version}}}" in (DOCS / "citing.md").read_text(encoding="utf-8")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
