"""Keys and values that params files had under other names, so that an error can say the new ones."""

BLOCKS = {"fits": "recipes", "curve": "validation_curve"}
KEYS = {
    "checkpoints": {"shape": "architecture"},
    "triplets": {"draw": "sampling", "each": "negatives_per_query"},
    "fits": {"keep": "regularizer"},
    "recipes": {"keep": "regularizer"},
    "retrievers": {"start": "checkpoint", "tune": "tuning", "fit": "recipe"},
    "interpolations": {"start": "checkpoint", "of": "trained"},
    "rerankers": {"start": "checkpoint", "tune": "tuning", "fit": "recipe", "first": "first_stage"},
}
REPORT = {"primary": "in_domain", "outside": "out_of_domain", "alpha": "significance"}
ARCHITECTURES = {"late": "late-interaction", "cross": "cross-encoder", "run": "published-run"}
LOSSES = {"inbatch": "in-batch", "pairs": "pointwise", "lists": "listwise", "margins": "margin-mse"}
LOSS_KEYS = {"hard": "hard_negatives", "cached": "mini_batch"}


def found(blocks: dict) -> list[str]:
    """One line for each old key or value in the blocks of a params file, which says the new one."""
    lines = [f"{old}: was renamed to {new}" for old, new in BLOCKS.items() if old in blocks]
    lines += _keys(blocks.get("report"), "report", REPORT)
    for block, keys in KEYS.items():
        for name, entry in _entries(blocks.get(block)):
            lines += _keys(entry, f"{block}.{name}", keys)
    for name, entry in _entries(blocks.get("checkpoints")):
        for key in ("shape", "architecture"):
            lines += _value(entry, f"checkpoints.{name}", key, ARCHITECTURES)
    for block in ("fits", "recipes"):
        for name, entry in _entries(blocks.get(block)):
            lines += _value(entry.get("loss"), f"{block}.{name}.loss", "kind", LOSSES)
            lines += _keys(entry.get("loss"), f"{block}.{name}.loss", LOSS_KEYS)
    for name, entry in blocks.items():
        if isinstance(entry, dict) and entry.get("kind") == "lora" and "alpha" in entry:
            lines.append(f"{name}.alpha: was renamed to lora_alpha")
    return lines


def _entries(block: object) -> list[tuple[str, dict]]:
    return [pair for pair in block.items() if isinstance(pair[1], dict)] if isinstance(block, dict) else []


def _keys(entry: object, where: str, names: dict[str, str]) -> list[str]:
    known = entry if isinstance(entry, dict) else {}
    return [f"{where}.{old}: was renamed to {new}" for old, new in names.items() if old in known]


def _value(entry: object, where: str, key: str, names: dict[str, str]) -> list[str]:
    value = entry.get(key) if isinstance(entry, dict) else None
    return [f"{where}.{key}: {value} was renamed to {names[value]}"] if value in names else []
