"""``ucbench push``: an exported release to where others fetch it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ucbench.cli.options import FOLDER, argument, flag

app = typer.Typer()


@app.command("push", no_args_is_help=True, rich_help_panel="Results")
def push_command(
    to: Annotated[Literal["hf"], typer.Argument(metavar="hf", help="The Hugging Face hub.", show_default=False)],
    repository: Annotated[str, argument("OWNER/NAME", "The data set, created if it does not exist.")],
    release: Annotated[Path, argument("FOLDER", "What `ucbench export --for hf` wrote.", **FOLDER)],
    public: Annotated[bool, flag("--public", "Let everybody see a new data set; it is private otherwise.")] = False,
) -> None:
    """Upload an exported release as a data set of the Hugging Face hub.

    Every file is compared with SHA256SUMS first. The token is HF_TOKEN, or that of `hf auth login`; HF_ENDPOINT names
    another hub.

        ucbench export --poisoner lsp --dataset digits --for hf --out exported
        ucbench push hf my-group/digits-lsp exported
    """
    from ucbench.export.push import push_to_hub

    typer.echo(push_to_hub(release, repository, public=public))
