"""The table for a paper says what the results say, and its LaTeX is whole."""
import re

import pytest

from stages.reporting import variant_table
from stages.core.errors import UserError
from tests.test_tables import BASE, REPORT, ROWS, TUNED

ENTRIES = [BASE, TUNED | {"queries": 1300, "clusters": 12}]


def test_the_lines_in_both_forms():
    text = variant_table.markdown(ENTRIES, REPORT, ROWS, [1, 2])
    assert "| base | **0.5000** |  |  |  |" in text
    assert "| tuned | 0.4500 ± 0.0100 | -10.0 | -16.0 to -4.0 | worse |" in text
    assert "| absent | – | – | – | – |" in text
    assert "Every row against base: RR@10, in_domain test (1,300 queries in 12 clusters)." in text
    assert "over 2 seeds (1, 2)" in text and "a t test" in text
    text = variant_table.latex(ENTRIES, REPORT, ROWS, [7])
    assert r"base & \textbf{0.5000} &  &  &  \\" in text and r"absent & -- & -- & -- & -- \\" in text
    assert r"tuned & 0.4500 $\pm$ 0.0100 & $-$10.0 & $-$16.0 to $-$4.0 & worse \\" in text
    assert "one seed (7)" in text and r"95 \% interval" in text and "t test" not in text


def test_the_latex_is_balanced_and_every_line_has_its_cells():
    both = REPORT.model_copy(update={"outside": REPORT.in_domain})
    rows = {"base": ROWS["base"], "tuned": ROWS["tuned"], "a_b-1": ROWS["absent"]}
    text = variant_table.latex(ENTRIES, both, rows, [7])
    assert re.findall(r"\\begin\{(.+?)\}", text) == ["table*", "tabular"] == re.findall(r"\\end\{(.+?)\}", text)[::-1]
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert r"a\_b-1 & " in text and "%" not in bare.split("\n", 1)[1]
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
    assert len(body) == 3 and all(line.count(" & ") == 8 and line.endswith(r" \\") for line in body)


def test_every_special_sign_is_escaped():
    assert variant_table.escaped("R_1 & 5% #x {y} $z ~^\\") == \
        r"R\_1 \& 5\% \#x \{y\} \$z \textasciitilde{}\textasciicircum{}\textbackslash{}"
    assert variant_table.escaped("lora-16 -1.5 (+2 to x-3)") == r"lora-16 $-$1.5 ($+$2 to x-3)"


def test_without_verdicts_there_is_no_table():
    with pytest.raises(UserError, match="no row has a verdict on RR@10, in_domain test; run dvc repro evaluate"):
        variant_table.latex([BASE], REPORT, ROWS, [7])
