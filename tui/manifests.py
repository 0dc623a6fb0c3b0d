"""`autoresearch-tui manifests`: what a cluster needs for this workspace, as YAML for `kubectl apply -f -`.

Prints; what remains to be done goes to standard error, so that the rest can be piped. Asks no cluster.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui.shell import load

if TYPE_CHECKING:
    from core.settings import Loaded

_NOT_THERE = ("for", "on_exit")  # flags of the engine's own command line


@click.command()
@click.option("--engine", is_flag=True, help="With the engine itself: a Deployment and a volume for its session.")
@click.option(
    "--cron", metavar="SCHEDULE", default="", help='With the engine as a CronJob, like "0 22 * * *", for 8 h.'
)
@click.option("--image", metavar="NAME", help="Of runs; default: kubernetes.image of the settings.")
@click.option("--engine-image", metavar="NAME", default="autoresearch-engine", show_default=True, help="Of the engine.")
@click.option("--namespace", metavar="NAME", help="Default: kubernetes.namespace of the settings, else autoresearch.")
@click.option("--data-class", metavar="NAME", default="", help="Storage class of the data, read by many nodes.")
@click.option("--session-class", metavar="NAME", default="", help="Storage class of the session, a block device.")
@click.option("--no-egress", is_flag=True, help="With a NetworkPolicy: runs talk to nobody.")
@click.option("--others", is_flag=True, help="With the right to see who else holds GPUs.")
@click.pass_context
def manifests(context: click.Context, /, image: str | None, namespace: str | None, **wishes: Any) -> None:
    """Print what a cluster needs, for kubectl apply -f -.

    Account and rights, a volume and a Job for the data, the workspace's files as they are committed; with --engine or
    --cron the engine as well.
    """
    if wishes["engine"] and wishes["cron"]:
        raise click.UsageError("--engine and --cron share the session's volume; choose one.")
    wishes["schedule"] = wishes.pop("cron")
    loaded = load(context.obj, context.meta["flags"])
    cluster = {"image": image, "namespace": namespace}
    _print(context.obj, loaded, {name: value for name, value in cluster.items() if value}, wishes)


def _print(workspace: Path, loaded: Loaded, over: dict[str, str], wishes: dict[str, Any]) -> None:
    from k8s import deployment
    from k8s.settings import checked

    table = {**loaded.settings.kubernetes, **over}
    wanted = deployment.Wanted(
        given={**_given(loaded), "kubernetes": loaded.settings.kubernetes},
        cluster=checked(table),
        files=_files(workspace),
        **wishes,
    )
    done = deployment.deployed(wanted)
    click.echo(deployment.text(done.objects), nl=False)
    for sentence in done.needed:
        click.echo(sentence, err=True)
    if done.missing:
        click.echo("An engine outside the cluster needs this in autoresearch.toml:", err=True)
        for line in done.missing:
            click.echo(f"  {line}", err=True)


def _given(loaded: Loaded) -> dict[str, Any]:
    chosen = (name for name, origin in loaded.origins.items() if origin != "default" and name not in _NOT_THERE)
    return {name: getattr(loaded.settings, name) for name in chosen}


def _files(path: Path) -> dict[str, bytes]:
    """Of the workspace, as they are committed."""
    from core.workspace import Workspace

    with tempfile.TemporaryDirectory() as scratch:
        base = Workspace.open(path).base_files(Path(scratch))
        found = (file for file in sorted(base.rglob("*")) if file.is_file())
        return {file.relative_to(base).as_posix(): file.read_bytes() for file in found}
