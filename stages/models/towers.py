"""The towers of a retriever: one for all texts, or one for queries and one for passages."""
ROLES = ("query", "document")


def pair(queries: list, documents: list):
    """The module of two towers, each given as its modules in order; it computes nothing for a text without a role."""
    from sentence_transformers.sentence_transformer.modules import Router
    return Router.for_query_document(queries, documents, default_route=None, allow_empty_key=False)


def parts(model) -> dict:
    """What holds a model's weights, by tower: {"": the model} or {"query": ..., "document": ...}, indexable modules."""
    from sentence_transformers.sentence_transformer.modules import Router
    return {role: model[0].sub_modules[role] for role in ROLES} if isinstance(model[0], Router) else {"": model}


def bodies(model) -> dict:
    """The first module of each tower, which holds the tokenizer and, as its `model`, the transformer."""
    return {tower: part[0] for tower, part in parts(model).items()}


def routed(model, role: str | None) -> tuple:
    """The first module that serves texts of a role, and the keywords with which the model's forward goes there.

    A model of one tower takes any role or none; ValueError for one of two towers and a role that is none of ROLES.
    """
    known = bodies(model)
    if "" in known:
        return known[""], {}
    if role not in known:
        raise ValueError(f"a model of two towers computes for one of {', '.join(ROLES)}, not for {role}")
    return known[role], {"task": role}


def alone(model, role: str):
    """A SentenceTransformer that computes what one tower of `model` does; it shares its weights."""
    from sentence_transformers import SentenceTransformer
    known = parts(model)
    if "" in known:
        return model
    return SentenceTransformer(modules=[*known[role], *list(model)[1:]], device=str(model.device)).train(model.training)


def router_mapping(model, columns: list[str]) -> dict[str, str]:
    """Which tower a lesson's columns go to: its first to the queries', the other texts to the passages'."""
    if "" in parts(model):
        return {}
    return {column: ROLES[at > 0] for at, column in enumerate(columns) if column != "label"}
