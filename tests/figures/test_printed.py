import re

import pandas as pd

from agt_lib.figures.tables import Printed

DATA = pd.DataFrame({"features": ["A+V*", "A+V*"], "waf": [1.25, None]})


def table():
    return Printed(
        "table9",
        "100 % of a_b & more",
        pd.DataFrame(
            [("A+V*", "60.8 ±1.3", "—"), ("A+V*", "−0.2", "$5"), ("T", r"#1\†", "a~b^c")],
            columns=["features", "Train&Val", "x_1 | y"],
        ),
        ("A note: {braces}, 50 %.",),
        DATA,
    )


def latex_rows(text):
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    return [line for line in body.splitlines() if line.endswith(r"\\")]


def test_every_row_of_the_latex_has_a_cell_for_each_column():
    text = table().latex()
    assert r"\begin{tabular}{lll}" in text
    rows = latex_rows(text)
    assert len(rows) == 4
    assert [row.replace(r"\&", "").count("&") for row in rows] == [2, 2, 2, 2]


def test_latex_escapes_what_tex_would_read():
    text = table().latex()
    assert r"Train\&Val & x\_1 | y" in text
    assert r"\caption{100 \% of a\_b \& more}" in text
    assert r" & $-$0.2 & \$5 \\" in text
    assert r"T & \#1\textbackslash{}$^\dagger$ & a\textasciitilde{}b\textasciicircum{}c \\" in text
    assert r"60.8 $\pm$1.3 & --- \\" in text
    assert r"\{braces\}" in text
    assert text.isascii()


def test_latex_has_the_rules_of_booktabs_and_space_between_groups():
    text = table().latex()
    order = [text.index(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")]
    assert order == sorted(order)
    assert text.count(r"\addlinespace") == 1
    assert text.index(r"\addlinespace") < text.index("T & ")
    assert text.count("{") - text.count("}") == text.count(r"\{") - text.count(r"\}")


def test_markdown_repeats_no_emphasis_and_no_pipe():
    lines = table().markdown().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert set(rows[1]) == set("|:-")
    cells = [re.split(r" +\| +", row.strip("| ")) for row in rows]
    assert cells[0] == ["features", "Train&Val", r"x\_1 \| y"]
    assert cells[2] == [r"A+V\*", "60.8 ±1.3", "—"]
    assert cells[3][0] == r"A+V\*"
    assert lines[0] == r"Table 9. 100 % of a\_b & more"


def test_a_table_is_written_as_csv_markdown_and_latex_to_each_folder(tmp_path):
    table().write([tmp_path / "a", tmp_path / "b"])
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert {p.name for p in folder.iterdir()} == {"table9.csv", "table9.md", "table9.tex"}
        pd.testing.assert_frame_equal(pd.read_csv(folder / "table9.csv"), DATA)
