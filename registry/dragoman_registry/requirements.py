"""The plugins that a package needs: named when it is written, looked for when it is read, never installed by us."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from dragoman.errors import PackageError, PluginError
from dragoman.plugins import Offer, Plugin, zoo

__all__ = ["check_requirements", "requirements_of"]

# Its version stands in the manifest on its own.
_SELF = "dragoman"


def requirements_of(offers: Iterable[Offer[Any]]) -> tuple[str, ...]:
    """``"NAME>=VERSION"`` for each distribution that offers one of the parts, sorted."""
    versions = {offer.plugin.distribution: offer.plugin.version.partition("+")[0] for offer in offers}
    return tuple(f"{name}>={version}" for name, version in sorted(versions.items()) if name != _SELF)


def check_requirements(requires: Iterable[str], where: str) -> None:
    """Raise unless every plugin that a package names is installed, new enough and working.

    Args:
        requires: ``"NAME>=VERSION"``.
        where: the package, for messages.

    Raises:
        PluginError: the sentence says what to install.
        PackageError: a requirement makes no sense.
    """
    for text in requires:
        try:
            _check(Requirement(text), text, where)
        except (InvalidSpecifier, InvalidVersion, ValueError) as error:
            raise PackageError(f"{where} requires {text!r}, which is no requirement.") from error


def _check(requirement: Requirement, text: str, where: str) -> None:
    plugin = _installed(requirement.name)
    if plugin is None:
        raise PluginError(
            f"{where} needs the plugin {text}, which is not installed; if you trust it, run: pip install '{text}'"
        )
    if not requirement.specifier.contains(plugin.version, prereleases=True):
        raise PluginError(
            f"{where} needs the plugin {text}, but version {plugin.version} is installed;"
            f" run: pip install --upgrade '{text}'"
        )
    if not plugin.usable:
        raise PluginError(f"{where} needs the plugin {requirement.name}, which is {plugin.state}: {plugin.reason}.")


def _installed(distribution: str) -> Plugin | None:
    name = canonicalize_name(distribution)
    found = [plugin for plugin in zoo().plugins if canonicalize_name(plugin.distribution) == name]
    # One distribution may bring several plugins; it counts as working if one of them does.
    return min(found, key=lambda plugin: not plugin.usable, default=None)
