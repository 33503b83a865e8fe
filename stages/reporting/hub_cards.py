"""The model card that is published with a trained copy of a row: metadata, figures, recipe, hashes."""
import json

from stages.reporting import tables
from stages.evaluation.significance import per_cent
from stages.core.errors import UserError

# Weights that are known by their sha256, whichever way they came: name on the hub, licence.
KNOWN = {"53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db":
         ("sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0")}


def card(row: str, copy: str, stages: dict, entries: list[dict], log: dict, study, references: str) -> str:
    """A README.md for the hub, of copy seed-<n> of a trained row.

    stages are those of dvc.lock, entries those of results.json, log the row's training log, references BibTeX. The
    recipe is the one in dvc.lock, which is what the model was made with. Raises UserError where dvc.lock does not hold
    the row, or holds a model that was made after its figures.
    """
    recipe, hashes = recipe_of(stages, row), _hashes(stages, row, study)
    own = [entry for entry in entries if entry["variant"] == row and entry["corpus"] in study.corpora
           and entry["measure"] in study.measures]
    if not own or any(copy not in entry["by_seed_run"] for entry in own):
        raise UserError(f"reports/results.json: has no figures of {copy} of row '{row}'; run dvc repro evaluate")
    trained = next((entry for entry in log["seed_runs"] if f"seed-{entry['seed']}" == copy), None)
    if trained is None:
        raise UserError(f"reports/training/{row}.json: knows no {copy}; run dvc repro train@{row}")
    return "\n".join([
        f"---\n{_metadata(row, copy, recipe, own)}\n---\n# {row}, {copy.replace('-', ' ')}\n",
        _opening(recipe, own, study.report), _loading(row, copy, recipe), _results(copy, own, study.report),
        _untested(recipe, own, study.seeds), _training(trained, recipe), _made_again(_trainer(stages, row), hashes),
        _licence(recipe),
        f"## Citation\n\nThe papers that the study starts from:\n\n```bibtex\n{references.strip()}\n```\n"])


def recipe_of(stages: dict, row: str) -> dict:
    """The blocks that a row was trained with, and its seeds, from the stages of dvc.lock."""
    said = _params(stages, _trainer(stages, row))
    names = said.get(f"retrievers.{row}") or said[f"rerankers.{row}"]
    start, triplets = (_params(stages, f"{kind}@{name}")[f"{block}.{name}"] for kind, block, name in
                       (("checkpoint", "checkpoints", names["start"]), ("triplets", "triplets", names["triplets"])))
    again = {"first": names["first"], "depth": _params(stages, f"rerank@{row}")["rerank"]["depth"]} if "first" in names \
        else {}
    return {"seeds": said["seeds"], "start": start, "tuning": said[names["tuning"]], "triplets": triplets,
            "recipe": said[f"fits.{names['recipe']}"], **again}


def _trainer(stages: dict, row: str) -> str:
    """The stage that trained a row: a retriever's, or a reranker's."""
    return f"train-reranker@{row}" if f"train-reranker@{row}" in stages else f"train@{row}"


def _stage(stages: dict, name: str) -> dict:
    if name not in stages:
        raise UserError(f"dvc.lock: has no stage {name}; run dvc repro {name}")
    return stages[name]


def _params(stages: dict, name: str) -> dict:
    return _stage(stages, name)["params"]["params.yaml"]


def _md5(files: list[dict], path: str) -> str:
    return next(file["md5"] for file in files if file["path"] == path)


def _hashes(stages: dict, row: str, study) -> dict[str, str]:
    """Path -> md5 as DVC has it: the row's models, what they start from and learn from, and every corpus."""
    trainer = _trainer(stages, row)
    train = _stage(stages, trainer)
    model = f"data/models/{row}"
    hashes = {model: _md5(train["outs"], model)}
    hashes |= {file["path"]: file["md5"] for file in train["deps"] if file["path"].startswith("data/")}
    for corpus in study.corpora:
        reader = f"encode@{row}-{corpus}" if trainer == f"train@{row}" else f"rerank@{row}"
        if _md5(_stage(stages, reader)["deps"], model) != hashes[model]:
            raise UserError(f"dvc.lock: the model of '{row}' is newer than its figures on {corpus}; run dvc repro")
        path = f"data/corpora/{corpus}"
        hashes[path] = _md5(_stage(stages, f"download@{corpus}")["outs"], path)
    return hashes


def _base_model(start: dict) -> str | None:
    """The name on the hub of what was trained, where it is known."""
    kind, _, rest = start["source"].partition(":")
    return KNOWN.get(start.get("sha256"), (None,))[0] or (rest.rpartition("@")[0] if kind == "hub" else None)


def _unit(recipe: dict) -> str:
    return "pairs" if recipe["recipe"]["loss"]["kind"] in ("contrastive", "pairs") else "triplets"


def _metadata(row: str, copy: str, recipe: dict, own: list[dict]) -> str:
    from huggingface_hub import EvalResult, ModelCardData
    results = [EvalResult(task_type="information-retrieval", task_name="Information Retrieval",
                          dataset_type=entry["corpus"], dataset_name=f"{entry['corpus']} {entry['split']}",
                          dataset_split=entry["split"], metric_type=entry["measure"], metric_name=entry["measure"],
                          metric_value=entry["by_seed_run"][copy]) for entry in own]
    base = _base_model(recipe["start"])
    related = {"base_model": base, "base_model_relation": "finetune"} if base else {}
    return ModelCardData(
        model_name=f"{row}-{copy}", library_name="sentence-transformers",
        pipeline_tag="text-ranking" if recipe["start"]["architecture"] in ("cross", "late") else "sentence-similarity",
        tags=["sentence-transformers", *([] if recipe["start"]["architecture"] in ("cross", "late") else ["feature-extraction"]),
              "information-retrieval", recipe["tuning"]["kind"],
              f"{recipe['recipe']['loss']['kind']}-loss"], eval_results=results, **related).to_yaml()


def _opening(recipe: dict, own: list[dict], report) -> str:
    start = recipe["start"]
    told = [f"- {entry['measure']} of {entry['corpus']} {entry['split']} against the untouched `{report.base}`: "
            f"**{entry['verdict']}**. Change in per cent, with its {100 * (1 - report.significance):g} % interval: "
            f"{_change(entry)}." for entry in own if "verdict" in entry]
    again = start["architecture"] in ("cross", "late")
    cosine = "vectors have unit length, so that the inner product is the cosine"
    does = {"cross": f"Query and passage are read together, cut at {start['tokens']} tokens",
            "late": f"Texts are cut at {start['tokens']} tokens, each of them a unit vector",
            "asymmetric": f"Queries and passages have an encoder each. Texts are cut at {start['tokens']} tokens; {cosine}"
            }.get(start["architecture"], f"Texts are cut at {start['tokens']} tokens; {cosine}")
    return (f"A {'reranker' if again else 'retriever'}: `{_base_model(start) or start['source']}` trained on "
            f"{_unit(recipe)} of the collection `{recipe['triplets']['corpus']}`. {does}.{_after(recipe)}\n\n"
            + "\n".join(told) + "\n")


def _after(recipe: dict) -> str:
    """What a reranker's figures are of."""
    return (f" Its figures are those of ordering again the first {recipe['depth']} passages that `{recipe['first']}` "
            f"ranks." if "first" in recipe else "")


def _loading(row: str, copy: str, recipe: dict) -> str:
    beside = (" The adapter is merged into the weights; it also lies beside them, in `adapter/`."
              if recipe["tuning"]["kind"] in ("lora", "ia3") else "")
    if recipe["start"]["architecture"] == "cross":
        trusted = ", trust_remote_code=True" if recipe["start"].get("remote_code") else ""
        return f"""## How to load it

```python
from sentence_transformers import CrossEncoder
model = CrossEncoder("data/models/{row}/{copy}"{trusted})  # or the name it was published under
scores = model.predict([("a query", "a passage"), ("a query", "another")])
```
{beside}
"""
    if recipe["start"]["architecture"] == "late":
        return f"""## How to load it

```python
from sentence_transformers import MultiVectorEncoder
model = MultiVectorEncoder("data/models/{row}/{copy}")  # or the name it was published under
scores = model.similarity(model.encode_query(["a query"]), model.encode_document(["a passage", "another"]))
```

A passage's score is the sum over the query's tokens of the largest inner product with a token of the passage.{beside}
"""
    return f"""## How to load it

```python
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("data/models/{row}/{copy}")  # or the name it was published under
scores = model.similarity(model.encode_query(["a query"]), model.encode_document(["a passage", "another"]))
```

Queries and passages take no prefix.{beside}
"""


def _results(copy: str, own: list[dict], report) -> str:
    several = any(len(entry["by_seed_run"]) > 1 for entry in own)
    heads = ["collection", "measure", "value", *(["mean ± spread over seeds"] if several else []),
             f"`{report.base}`", "change % (interval)", "verdict"]
    lines = []
    for entry in own:
        spread = "" if entry["spread"] is None else f" ± {entry['spread']:.4f}"
        against = [f"{entry['base']:.4f}", _change(entry)] if "base" in entry else ["–", "–"]
        lines.append([f"{entry['corpus']} {entry['split']}", entry["measure"], f"{entry['by_seed_run'][copy]:.4f}",
                      *([f"{entry['value']:.4f}{spread}"] if several else []), *against, entry.get("verdict", "")])
    judges = "Change and verdict are those of all seeds." if several else \
        "One seed: they judge this copy, not the recipe."
    sizes = {f"{entry['corpus']} {entry['split']}": entry["queries"] for entry in own if "queries" in entry}
    return (f"## Results\n\n{tables.markdown(heads, lines)}\n"
            f"Queries: {', '.join(f'{place} {queries:,}' for place, queries in sizes.items())}. "
            f"Change is in per cent of `{report.base}`, with a {100 * (1 - report.significance):g} % interval over clusters "
            f"of queries{' and seeds' if several else ''}. "
            f"{judges} Verdicts are corrected (Holm) over all rows of the study. The intervals are not: of so many, "
            f"some may exclude nought by chance.\n")


def _change(entry: dict) -> str:
    low, change, high = (per_cent(entry, entry[key]) for key in ("low", "difference", "high"))
    return f"{change:+.1f} ({low:+.1f} to {high:+.1f})"


def _untested(recipe: dict, own: list[dict], seeds: list[int]) -> str:
    places = dict.fromkeys(f"{entry['corpus']} {entry['split']}" for entry in own)
    taught = recipe["triplets"]["corpus"]
    outside = dict.fromkeys(entry["corpus"] for entry in own if entry["corpus"] != taught)
    lines = [f"Any collection but these: {', '.join(places)}.",
             f"Outside what taught it (`{taught}`) it was measured on {', '.join(outside)} only." if outside else
             f"Anything outside what taught it (`{taught}`).",
             f"Texts beyond {recipe['start']['tokens']} tokens, which are cut, and languages that the collections "
             "do not have.",
             "Tasks other than ranking passages for a query by exact search: similarity, clustering, classification, "
             "approximate search, quantised weights.",
             f"Other seeds than {', '.join(map(str, seeds))}."]
    return "## What it was not tested on\n\n" + "".join(f"- {line}\n" for line in lines)


def _training(trained: dict, recipe: dict) -> str:
    losses = [entry["loss"] for entry in trained["log"] if "loss" in entry]
    watched = [entry["RR@10"] for entry in trained["log"] if "RR@10" in entry]
    fit, optimizer = recipe["recipe"], {"lion": "Lion"}.get(recipe["tuning"].get("optimizer"), "AdamW")
    facts = [["steps", f"{trained['steps']:,} of {fit['batch']} {_unit(recipe)}"],
             ["weights trained", f"{trained['trainable']:,} of {trained['total']:,} "
                                 f"({100 * trained['trainable'] / trained['total']:.3f} %)"],
             ["tensors changed", f"{trained['changed']} of {trained['tensors']}"],
             ["loss of the first and the last batch", f"{losses[0]:.4f}, {losses[-1]:.4f}"]]
    if watched:
        facts.append(["RR@10 on a small validation sample: before, best, after",
                      f"{watched[0]:.4f}, {max(watched):.4f}, {watched[-1]:.4f}"])
    return (f"## How it was trained\n\n{tables.markdown(['fact', 'value'], facts)}\n{optimizer}, with a "
            f"{fit.get('schedule', 'linear')} schedule after warm-up. The recipe:\n\n"
            f"```json\n{json.dumps(recipe | {'seeds': [trained['seed']]}, indent=2)}\n```\n")


def _made_again(trainer: str, hashes: dict[str, str]) -> str:
    lines = [[f"`{path}`", f"`{md5}`"] for path, md5 in hashes.items()]
    return (f"## How to make it again\n\nIn the repository of the study, at the commit whose dvc.lock has these "
            f"hashes:\n\n```sh\ndvc repro {trainer}\n```\n\n{tables.markdown(['path', 'md5 in dvc.lock'], lines)}")


def _licence(recipe: dict) -> str:
    known = KNOWN.get(recipe["start"].get("sha256"))
    base = f"; {known[0]} is under {known[1]}" if known else ""
    return (f"## Licence\n\nThis card names no licence: whoever publishes the model chooses one. The licence of the "
            f"base model applies to what is made from it{base}. The texts that it learned from belong to their "
            f"owners.\n")
