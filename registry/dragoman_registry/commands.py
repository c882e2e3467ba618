"""Commands that the registry adds to ``dragoman``. They import nothing heavy until they run."""

from __future__ import annotations

import click

__all__ = ["check"]


@click.command()
@click.argument("model")
@click.option("--revision", help="Branch, tag or commit.")
@click.option("--keep", metavar="DIR", help="Where the produced tensors go if they differ (default: a temporary one).")
@click.option("--device", help="Where the model runs, such as cuda (default: cpu).")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def check(
    context: click.Context, model: str, revision: str | None, keep: str | None, device: str | None, as_json: bool
) -> None:
    """Replay the test vectors of MODEL: does it run here, and does it reproduce?

    MODEL is a folder or NAMESPACE/NAME[@REVISION]. The exit code is 0 only if both hold.
    """
    from pathlib import Path

    from dragoman_registry.check import check as run_check

    report = run_check(model, revision=revision, keep=Path(keep) if keep else None, device=device)
    if as_json:
        click.echo(_as_json(model, report.runs, report.reproduces, report.sentences, report.produced))
    else:
        answers = {True: "yes", False: "no", None: "cannot be told"}
        click.echo(f"runs: {answers[report.runs]}\nreproduces: {answers[report.reproduces]}")
        click.echo("\n".join(report.sentences))
    context.exit(0 if report.passed else 1)


def _as_json(
    model: str, runs: bool, reproduces: bool | None, sentences: tuple[str, ...], produced: object | None
) -> str:
    import json

    return json.dumps(
        {
            "model": model,
            "runs": runs,
            "reproduces": reproduces,
            "sentences": list(sentences),
            "produced": str(produced) if produced is not None else None,
        },
        indent=2,
    )
