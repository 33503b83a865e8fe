"""The main table says what the results say, in the report and in LaTeX, also where something is missing."""

import re
from dataclasses import replace

import pytest

from stages.core.errors import UserError
from stages.params import Study
from stages.reporting import latex, makeup, markdown, variants_table
from tests import plants
from tests.conftest import STUDY
from tests.plants import IN_DOMAIN, OUT_OF_DOMAIN

WORSE = plants.comparison(-0.05, low=-0.08, high=-0.02, detectable=0.04, verdict="worse", p_family=0.00001)
FULL = plants.result("full-hard", WORSE, spread=0.01)
RERANKED = replace(
    plants.result("late-random", plants.comparison(0.1, queries=100), OUT_OF_DOMAIN), base=0.4, value=0.5, of=953
)
RESULTS = [
    plants.result("base"),
    FULL,
    plants.result("base", target=OUT_OF_DOMAIN, value=0.6),
    replace(plants.result("late-random", plants.comparison(0.02, queries=100)), base=0.55, value=0.57, of=953),
    RERANKED,
]


def lines(table) -> list[str]:
    return markdown.table(table).splitlines()


def with_report(**changed) -> Study:
    return STUDY.model_copy(update={"report": STUDY.report.model_copy(update=changed)})


def test_the_main_table_has_seven_columns_and_bold_best_values():
    table = variants_table.variants(STUDY, RESULTS)
    assert len(table.heads) == 7 and all(len(line) == 7 for line in table.lines)
    assert [line[0] for line in table.lines] == variants_table.main_variants(STUDY)
    written = lines(table)
    assert written[0].startswith("| variant | RR@10 in domain | change in domain, % (interval) | verdict in domain |")
    assert "| full-hard | 0.4500 ± 0.0100 | -10.0 (-16.0 to -4.0) | worse | – | – | – |" in written
    assert "| base | **0.5000** |  |  | **0.6000** |  |  |" in written
    assert "| bm25 | – | – | – | – | – | – |" in written
    assert len(variants_table.variants(with_report(out_of_domain=None), RESULTS).heads) == 4


def test_other_architectures_and_interpolations_stand_in_a_table_of_their_own_below_the_base():
    apart = ["towers-random", "full-random-mix"]
    assert variants_table.main_variants(STUDY) == [name for name in STUDY.searchers if name not in apart]
    assert [line[0] for line in variants_table.others(STUDY, RESULTS).lines] == ["base", *apart]
    assert list(variants_table.tables(STUDY, RESULTS)) == [
        "Variants", "Other architectures and interpolations", "Hybrids", "Rerankers"
    ]  # fmt: skip
    alike = {name: block for name, block in STUDY.retrievers.items() if name not in apart}
    one_kind = STUDY.model_copy(update={"retrievers": alike, "interpolations": {}, "fusions": {}, "rerankers": {}})
    assert list(variants_table.tables(one_kind, RESULTS)) == ["Variants"]


def test_a_base_that_has_no_weights_is_compared_with_every_retriever():
    assert variants_table.main_variants(with_report(base="bm25")) == list(STUDY.retrievers)


def test_notes_say_which_collection_a_domain_is_and_what_verdicts_mean():
    said = markdown.table(variants_table.variants(STUDY, RESULTS))
    assert "In domain is in_domain test (1,200 queries in 300 clusters), out of domain is out_of_domain test" in said
    assert "with one seed (13) they do not say how far another seed would move a variant" in said
    assert "a randomisation test" in said and "surely smaller than 2 %" in said
    several = markdown.table(variants_table.variants(STUDY.model_copy(update={"seeds": [1, 2]}), RESULTS))
    assert "mean ± standard deviation over 2 seeds (1, 2)" in several and "t test over queries and seeds" in several


def test_rerankers_stand_below_the_base_on_their_queries():
    table = variants_table.rerankers(STUDY, RESULTS)
    assert lines(table)[2:4] == [
        "| base, on the same queries | 0.5500 |  |  | 0.4000 |  |  |",
        "| late-random | 0.5700 | +3.6 (+1.8 to +5.5) | cannot tell | 0.5000 | +25.0 (+22.5 to +27.5) | cannot tell |",
    ]
    assert table.notes[0] == (
        "Rerankers rerank the first 10 passages that base retrieves, on 100 of the 953 queries of in_domain test and "
        "100 of the 953 queries of out_of_domain test."
    )
    assert variants_table.rerankers(STUDY.model_copy(update={"rerankers": {}}), RESULTS) is None


def test_how_sure_has_every_variant_but_the_base():
    table = variants_table.sureness(STUDY, RESULTS)
    assert [line[0] for line in table.lines] == [name for name in STUDY.variants if name != "base"]
    assert "| full-hard | < 0.0001 | 8.0 | 10 / 20 / 1170 | – | – | – |" in lines(table)


def test_what_variants_are_made_of():
    made = {line[0]: list(line[1:]) for line in makeup.table(STUDY).lines}
    assert made["base"] == ["base model, not fine-tuned", "minilm", "", "", ""]
    assert made["lora-hard"] == ["fine-tuned retriever", "minilm", "lora", "hard", "printed"]
    assert made["full-random-mix"] == ["interpolation with full-random", "minilm", "", "", ""]
    assert made["cross-lion"] == ["reranker over base", "cross", "cross-lion", "uniform", "pointwise"]


def test_the_latex_is_balanced_and_every_line_has_its_cells():
    judged = [*RESULTS, plants.result("full-hard", WORSE, OUT_OF_DOMAIN)]
    written = variants_table.paper(STUDY, judged)
    assert re.findall(r"\\begin\{(.+?)\}", written) == ["table*", "tabular"]
    assert re.findall(r"\\end\{(.+?)\}", written) == ["tabular", "table*"]
    bare = re.sub(r"\\[\\{}&%$#_]", "", written)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0 and "%" not in bare.split("\n", 1)[1]
    body = written.split("\\midrule\n", 1)[1].split("\\bottomrule")[0].replace("\\midrule\n", "").splitlines()
    assert len(body) == len(STUDY.variants) + 1 and all(line.count(" & ") == 8 for line in body)
    assert r"full-hard & 0.4500 $\pm$ 0.0100 & $-$10.0 & $-$16.0 to $-$4.0 & worse & " in written
    assert r"base & \textbf{0.5000} &  &  &  & \textbf{0.6000} &" in written and r"bm25 & -- & -- &  & -- &" in written
    assert r"95 \% intervals" in written and r"RR@10, out\_of\_domain test" in written


def test_every_special_sign_is_escaped_in_latex():
    escaped = r"R\_1 \& 5\% \#x \{y\} \$z \textasciitilde{}\textasciicircum{}\textbackslash{} $<$"
    assert latex.escaped("R_1 & 5% #x {y} $z ~^\\ <") == escaped
    assert latex.escaped("lora-16 -1.5 (+2 to x-3)") == r"lora-16 $-$1.5 ($+$2 to x-3)"


def test_a_paper_gets_no_table_without_verdicts():
    assert STUDY.report.in_domain == IN_DOMAIN
    with pytest.raises(UserError, match="no variant has a verdict on RR@10, in_domain test; run dvc repro"):
        variants_table.paper(STUDY, [plants.result("base")])
