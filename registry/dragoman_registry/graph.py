"""The zoo as a graph: experts are nodes, trained translators are edges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dragoman.plugins import zoo
from dragoman_registry.installed import Package
from dragoman_registry.picture import label
from dragoman_registry.search import Found

__all__ = ["Edge", "Graph", "graph_of_hub", "graph_of_packages", "mermaid"]


@dataclass(frozen=True)
class Edge:
    """A trained translator.

    Attributes:
        source: expert that reads.
        target: expert that renders.
        translator: its kind, and the ports between which it leads where they are known.
        address: of the package.
    """

    source: str
    target: str
    translator: str
    address: str


@dataclass(frozen=True)
class Graph:
    """Experts, and the translators between them.

    Attributes:
        nodes: names of experts, each once.
        edges: in the order of the packages.
    """

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]

    @classmethod
    def of(cls, edges: Iterable[Edge], also: Iterable[str] = ()) -> Graph:
        """The graph of these edges, with further nodes that may have none."""
        edges = tuple(edges)
        ends = (name for edge in edges for name in (edge.source, edge.target))
        return cls(tuple(dict.fromkeys([*ends, *also])), edges)


def graph_of_packages(packages: Iterable[Package]) -> Graph:
    """What is on this machine: every installed expert, and the fusions given."""
    return Graph.of([_edge(package) for package in packages], zoo().experts)


def graph_of_hub(found: Iterable[Found]) -> Graph:
    """What a search found, as its tags tell."""
    return Graph.of(
        Edge(entry.source, entry.target, entry.translator, entry.repo)
        for entry in found
        if entry.source and entry.target
    )


def mermaid(graph: Graph) -> str:
    """The graph as Mermaid, which many places render from text."""
    number = {name: f"e{position}" for position, name in enumerate(graph.nodes)}
    nodes = [f'    {number[name]}["{label(name)}"]' for name in graph.nodes]
    edges = [
        f'    {number[edge.source]} -->|"{label(edge.translator)}: {label(edge.address)}"| {number[edge.target]}'
        for edge in graph.edges
    ]
    return "\n".join(["flowchart LR", *nodes, *edges]) + "\n"


def _edge(package: Package) -> Edge:
    manifest = package.manifest
    assert manifest.translator is not None
    ports = f"{manifest.ports['source'].name} to {manifest.ports['target'].name}"
    name = f"{manifest.translator.name}, {ports}"
    return Edge(manifest.components["source"].name, manifest.components["target"].name, name, _short(package.address))


def _short(address: str) -> str:
    """Without most of the commit."""
    name, at, commit = address.partition("@")
    return f"{name}@{commit[:8]}" if at and len(commit) == 40 else address
