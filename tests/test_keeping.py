"""The study of mitigations: its page says what each variant adds, and is what its committed figures give."""

from stages.analysis import transfer
from studies import keeping
from tests.conftest import ROOT


def test_the_committed_page_and_picture_are_those_of_the_committed_figures(tmp_path):
    (tmp_path / "keeping.json").write_bytes((ROOT / "reports/keeping.json").read_bytes())
    keeping.write(tmp_path)
    assert (tmp_path / "keeping.md").read_text() == (ROOT / "reports/keeping.md").read_text()
    assert (tmp_path / "keeping.png").stat().st_size > 10_000


def test_the_page_explains_every_variant_of_the_study():
    from stages import params

    study = params.load(ROOT / "studies/keeping.yaml")
    page = (ROOT / "reports/keeping.md").read_text().partition("| variant |")[0]
    assert all(f"`{variant}`" in page for variant in study.variants if variant not in ("bm25", "base"))
    measured = {entry.variant for entry in transfer.read(ROOT / "reports/keeping.json").variants}
    assert measured == set(study.variants)
