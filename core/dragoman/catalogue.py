"""Catalogues: the cards of one kind by name, and who offers them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dragoman.cards import Card
from dragoman.errors import PluginError, UnknownNameError

__all__ = ["Catalogue", "Offer", "Plugin"]

CardT = TypeVar("CardT", bound=Card)


@dataclass
class Plugin:
    """One installed plugin.

    Attributes:
        name: the entry point's name.
        distribution: the distribution that brings it.
        version: that distribution's version.
        state: ``"ok"``, ``"disabled"``, ``"broken"``, ``"incompatible"``, or ``"conflict"`` when it works but
            another plugin offers the same name.
        reason: why it is not ok, one sentence.
        offers: ``"kind:name"`` of everything that it registered.
    """

    name: str
    distribution: str
    version: str
    state: str = "ok"
    reason: str = ""
    offers: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether its offers can be found."""
        return self.state in ("ok", "conflict")

    def mark(self, state: str, reason: str) -> None:
        """Say that the plugin is not ok, and why."""
        self.state, self.reason = state, reason


@dataclass(frozen=True)
class Offer(Generic[CardT]):
    """A card and the plugin that offers it."""

    card: CardT
    plugin: Plugin

    @property
    def qualified_name(self) -> str:
        """``distribution/name``: unique even when two plugins offer one name."""
        return f"{self.plugin.distribution}/{self.card.name}"


class Catalogue(Mapping[str, CardT]):
    """All cards of one kind, by name; a name offered twice is reachable by its qualified name only."""

    def __init__(self, kind: str, plugins: Sequence[Plugin] = ()) -> None:
        self.kind = kind
        self.offers: list[Offer[CardT]] = []
        self._plugins = plugins

    def add(self, card: CardT, plugin: Plugin) -> None:
        """Take a card from a plugin."""
        self.offers.append(Offer(card, plugin))
        plugin.offers.append(f"{self.kind}:{card.name}")

    def find(self, name: str) -> Offer[CardT]:
        """The offer of that name or qualified name.

        Raises:
            UnknownNameError: nobody offers it.
            PluginError: several plugins offer it.
        """
        found = [offer for offer in self.offers if name in (offer.card.name, offer.qualified_name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise PluginError(self.describe_conflict(name, found))
        raise UnknownNameError(self._unknown(name))

    def conflicts(self) -> dict[str, list[Offer[CardT]]]:
        """Names offered more than once, with their offers."""
        by_name: dict[str, list[Offer[CardT]]] = {}
        for offer in self.offers:
            by_name.setdefault(offer.card.name, []).append(offer)
        return {name: offers for name, offers in by_name.items() if len(offers) > 1}

    def __getitem__(self, name: str) -> CardT:
        try:
            return self.find(name).card
        except PluginError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        clashing = self.conflicts()
        for offer in self.offers:
            yield offer.qualified_name if offer.card.name in clashing else offer.card.name

    def __len__(self) -> int:
        return len(self.offers)

    def describe_conflict(self, name: str, found: list[Offer[CardT]]) -> str:
        """One sentence that names everybody who offers the name, and the way out."""
        who = " and ".join(f"{o.plugin.distribution} {o.plugin.version}" for o in found)
        names = " or ".join(repr(o.qualified_name) for o in found)
        return f"The {self.kind} {name!r} is offered by {who}; write {names}, or uninstall one of them."

    def _unknown(self, name: str) -> str:
        import difflib

        names = list(self)
        close = difflib.get_close_matches(name, names, n=3)
        listed = (
            f"did you mean {' or '.join(map(repr, close))}?" if close else f"installed: {', '.join(names) or 'none'}."
        )
        unusable = ", ".join(f"{plugin.name} ({plugin.state})" for plugin in self._plugins if not plugin.usable)
        hint = f" Plugins that cannot be used now: {unusable}; see `dragoman plugins`." if unusable else ""
        return f"No installed plugin offers the {self.kind} {name!r}; {listed}{hint}"
