"""Discovery of plugins, with every failure contained in the plugin that caused it.

Three places can fail and each is caught on its own: importing the plugin's module, registering its hooks, and
calling each hook. What went wrong is a value on the :class:`Plugin`, shown by ``dragoman plugins``. Whatever a plugin
prints meanwhile goes to stderr, since stdout is for data.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cache
from typing import TYPE_CHECKING, Any

from dragoman._version import __version__
from dragoman.cards import Card, CriticCard, ExpertCard, FormatCard, MethodCard, StoreCard, TranslatorCard
from dragoman.catalogue import Catalogue, Offer, Plugin
from dragoman.entrypoints import EntryPoint, entry_points
from dragoman.errors import PluginError
from dragoman.limits import TooSlow, limited
from dragoman.ports import Port
from dragoman.requirement import fits, requirement_of
from dragoman.switches import disabled_by

if TYPE_CHECKING:
    import pluggy

__all__ = ["Catalogue", "Offer", "Plugin", "Zoo", "discover", "plugin_seconds", "zoo"]

ENTRY_POINT_GROUP = "dragoman"
#: Seconds that a plugin's module may take to import, and each of its hooks; ``DRAGOMAN_PLUGIN_SECONDS`` is another.
PLUGIN_SECONDS = 10.0


class Zoo:
    """Everything that the installed plugins offer."""

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self.experts: Catalogue[ExpertCard] = Catalogue("expert", self.plugins)
        self.translators: Catalogue[TranslatorCard] = Catalogue("translator", self.plugins)
        self.critics: Catalogue[CriticCard] = Catalogue("critic", self.plugins)
        self.methods: Catalogue[MethodCard] = Catalogue("method", self.plugins)
        self.stores: Catalogue[StoreCard] = Catalogue("store", self.plugins)
        self.formats: Catalogue[FormatCard] = Catalogue("format", self.plugins)

    @property
    def catalogues(self) -> tuple[Catalogue[Any], ...]:
        """The catalogues, in the order in which they are listed."""
        return (self.experts, self.translators, self.critics, self.methods, self.stores, self.formats)

    def add(self, module: object, plugin: Plugin) -> None:
        """Register a plugin's module and collect its cards; a failure marks the plugin and changes nothing else."""
        self.plugins.append(plugin)
        collected: list[tuple[Catalogue[Any], Card]] = []
        if (manager := _registered(module, plugin)) is None:
            return
        for catalogue in self.catalogues:
            with _contained(plugin, f"register_{catalogue.kind}s failed"):
                collected += [(catalogue, card) for card in _collect(manager, catalogue, plugin)]
            if plugin.state != "ok":
                return
        for catalogue, card in collected:
            catalogue.add(card, plugin)
        self._mark_conflicts()

    def _mark_conflicts(self) -> None:
        reasons: dict[int, list[str]] = {}
        for catalogue in self.catalogues:
            for name, offers in catalogue.conflicts().items():
                for offer in offers:
                    reasons.setdefault(id(offer.plugin), []).append(catalogue.describe_conflict(name, offers))
        for plugin in self.plugins:
            if id(plugin) in reasons:
                plugin.mark("conflict", " ".join(reasons[id(plugin)]))


def discover(path: Sequence[str] | None = None, veto: Callable[[EntryPoint], str] = lambda entry: "") -> Zoo:
    """Read the entry points and build the zoo. Plugins that are switched off are not imported.

    Args:
        path: folders that are searched for installed distributions, instead of ``sys.path``.
        veto: asked before a plugin is imported; unless it answers ``""``, the plugin is broken for that reason.
    """
    found = Zoo()
    for entry in entry_points(ENTRY_POINT_GROUP, path):
        _load(entry, found, veto)
    return found


@cache
def zoo() -> Zoo:
    """The zoo of this process, discovered on first use."""
    return discover()


@contextmanager
def _contained(plugin: Plugin, what: str) -> Iterator[None]:
    """Turn anything a plugin raises into its state, ``SystemExit`` too; only the user's interrupt passes."""
    try:
        with redirect_stdout(sys.stderr), limited(plugin_seconds()):
            yield
    except KeyboardInterrupt:
        raise
    except TooSlow as error:
        plugin.mark("broken", f"{what}: it takes {error}")
    except BaseException as error:
        plugin.mark("broken", f"{what}: {_one_line(error)}")
        if os.environ.get("DRAGOMAN_DEBUG"):
            sys.excepthook(type(error), error, error.__traceback__)


def plugin_seconds() -> float:
    """The limit for a plugin's module to be imported, and for each of its hooks."""
    try:
        return float(os.environ.get("DRAGOMAN_PLUGIN_SECONDS", "")) or PLUGIN_SECONDS
    except ValueError:
        return PLUGIN_SECONDS


def _load(entry: EntryPoint, found: Zoo, veto: Callable[[EntryPoint], str]) -> None:
    plugin = Plugin(entry.name, entry.distribution, entry.version)
    module: object = None
    wanted = requirement_of(entry.metadata("METADATA"))
    if switch := disabled_by(entry.name, entry.distribution):
        plugin.mark("disabled", f"switched off by {switch}")
    elif not fits(__version__, wanted):
        plugin.mark("incompatible", f"needs dragoman{wanted}; this is {__version__}")
    elif reason := veto(entry):
        plugin.mark("broken", reason)
    else:
        with _contained(plugin, f"{entry.value} does not import"):
            module = entry.load()
    if plugin.state == "ok":
        found.add(module, plugin)
    else:
        found.plugins.append(plugin)


def _registered(module: object, plugin: Plugin) -> pluggy.PluginManager | None:
    """A manager that knows this plugin only, so that no hook call of another can fail with it."""
    import pluggy

    from dragoman import hookspecs

    manager = pluggy.PluginManager("dragoman")
    manager.add_hookspecs(hookspecs)
    with _contained(plugin, "it cannot be registered"):
        try:
            manager.register(module, plugin.name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            plugin.mark("incompatible", f"its hooks do not fit this version of dragoman: {_one_line(error)}")
    return manager if plugin.state == "ok" else None


def _collect(manager: pluggy.PluginManager, catalogue: Catalogue[Any], plugin: Plugin) -> list[Card]:
    """The cards of one kind that a plugin registers, checked.

    Raises:
        PluginError: one is no such card, cannot be addressed, or was offered by the same distribution before.
    """
    cards: list[Card] = []
    getattr(manager.hook, f"register_{catalogue.kind}s")(register=cards.append)
    taken = {offer.card.name for offer in catalogue.offers if offer.plugin.distribution == plugin.distribution}
    for card in cards:
        _check(card, _CARD_TYPES[catalogue.kind])
        if card.name in taken:
            raise PluginError(f"{plugin.distribution} offers the {catalogue.kind} {card.name!r} twice")
        taken.add(card.name)
    return cards


def _check(card: object, kind: type[Card]) -> None:
    if not isinstance(card, kind):
        raise PluginError(f"{card!r} is no {kind.__name__}")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", str(card.name)):
        raise PluginError(f"{card.name!r} is no name that users can write; use letters, digits and hyphens")
    if not re.fullmatch(r"[\w.]+:\w+", str(card.target)):
        raise PluginError(f"the target {card.target!r} of {card.name!r} is not of the form 'module:Class'")
    for port in getattr(card, "ports", ()):
        if not isinstance(port, Port):
            raise PluginError(f"the port {port!r} of {card.name!r} is no Port")


_CARD_TYPES: dict[str, type[Card]] = {
    "expert": ExpertCard,
    "translator": TranslatorCard,
    "critic": CriticCard,
    "method": MethodCard,
    "store": StoreCard,
    "format": FormatCard,
}


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
