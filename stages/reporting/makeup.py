"""What each variant is made of, by the names of params.yaml."""

from stages.params import Study
from stages.params.searches import Searched
from stages.params.variants import Interpolation, ReciprocalRanks, Reranker, WeightedSum
from stages.reporting.table import Table
from stages.reporting.text import code, text


def table(study: Study) -> Table:
    """A line a variant: what it is, and the blocks it is made of."""
    lines = []
    for name, block in study.variants.items():
        if isinstance(block, Interpolation):
            lines.append([name, f"interpolation with {block.trained}", block.checkpoint, "", "", ""])
        elif isinstance(block, ReciprocalRanks | WeightedSum):
            lines.append([name, f"fusion of {' and '.join(block.of)}", "", "", "", ""])
        else:
            tuned = study.recipes[block.recipe] is not None
            kind = "fine-tuned retriever" if tuned else "base model, not fine-tuned"
            if isinstance(block, Searched):
                kind = f"{block.variant} with a setting that was searched for"
            if isinstance(block, Reranker):
                kind = f"reranker over {block.first_stage}" + ("" if tuned else ", not fine-tuned")
            own = [block.tuning, block.triplets, block.recipe] if tuned else ["", "", ""]
            lines.append([name, kind, block.checkpoint, *own])
    heads = ["variant", "what it is", "base checkpoint", "tuning", "triplets", "recipe"]
    return Table(heads, lines, [text("All names are those of blocks in ", code("params.yaml"), ".")])
