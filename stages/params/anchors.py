"""YAML's own means of saying a thing once, which undo what `dvc exp run -S` sets."""

from pathlib import Path

from stages.core.errors import UserError


def check(written: str, path: Path) -> None:
    """Raises UserError for an anchor, an alias or a merge key in a params file.

    DVC writes the file anew for -S, and an alias then has the value of its anchor again: nothing would be run, and
    nothing said. Raises YAMLError where it is not YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.tokens import AliasToken, AnchorToken, ScalarToken

    for token in YAML(typ="safe", pure=True).scan(written):
        merges = isinstance(token, ScalarToken) and token.value == "<<" and token.plain
        if isinstance(token, AnchorToken | AliasToken) or merges:
            sign = "<<" if merges else f"{'&' if isinstance(token, AnchorToken) else '*'}{token.value}"
            raise UserError(
                f"{path}:{token.start_mark.line + 1}: '{sign}' says in one place what stands in another, and -S cannot "
                "change that: it would run nothing, silently; write the values out"
            )
