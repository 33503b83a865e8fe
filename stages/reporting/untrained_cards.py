"""Cards of models that were not trained themselves: base checkpoints, and interpolations of weights."""

from collections.abc import Sequence

from stages.core.errors import UserError
from stages.evaluation.results import Result
from stages.models.local_settings import Reading
from stages.params import Study
from stages.reporting import changes, markdown, model_usage
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import code
from stages.reporting.training_logs import TrainingLog


def of_base(study: Study, variant: str, results: Sequence[Result], reading: Reading | None = None) -> str:
    """A README.md of a variant without fine-tuning: where its weights come from, how to load it, and its figures.

    Raises UserError where the results do not have it.
    """
    own = [each for each in results if each.variant == variant and each.corpus in study.corpora]
    if not own:
        raise UserError(f"reports/results.json: has no figures of '{variant}'; run dvc repro")
    checkpoint = study.checkpoints[{**study.retrievers, **study.rerankers}[variant].checkpoint]
    heads: list[Cell] = ["collection", "measure", "value", code(study.report.base), "change, % (interval)"]
    lines: list[list[Cell]] = []
    for each in own:
        base = NOTHING if each.base is None else f"{each.base:.4f}"
        change = changes.with_interval(each) if each.comparison else ""
        lines.append([f"{each.corpus} {each.split}", each.measure, f"{each.value:.4f}", base, change])
    snippet = model_usage.snippet(checkpoint.architecture, f"data/models/{variant}/pretrained", checkpoint.remote_code)
    kept = f", cut to its first {checkpoint.layers} layers" if checkpoint.layers else ""
    return f"""# {variant}

`{checkpoint.source}`{kept}, without fine-tuning, as architecture {checkpoint.architecture}.

## How to load it

```python
{snippet}```

{model_usage.words(checkpoint.architecture, reading)}

## Results

{markdown.table(Table(heads, lines))}
## Licence

This card names no licence: that of the model it comes from applies.
"""


def interpolated(card: str, study: Study, variant: str, seed_run: str, log: TrainingLog) -> str:
    """The card of the variant that an interpolation moves, with what was moved.

    `log` is the interpolation's. Raises UserError where it does not have the seed run.
    """
    one = next((each for each in log.between if each.seed_run == seed_run), None)
    if one is None:
        raise UserError(f"reports/training/{variant}.json: does not have {seed_run}; run dvc repro")
    block = study.interpolations[variant]
    trained = markdown.inline(block.trained)
    return (
        f"{card}\n## Interpolated\n\nThese are not the weights that training ended with. They are those of the base "
        f"checkpoint `{block.checkpoint}` + {one.alpha:g} x (`{trained}` - `{block.checkpoint}`). The alpha is the one "
        f"of {', '.join(f'{alpha:g}' for alpha in one.by_alpha)} that ranked a validation sample best. The figures "
        f"above are of the interpolated weights; what is said of training is of `{trained}`.\n"
    )
