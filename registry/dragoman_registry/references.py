"""Parts by reference: an expert is named by its address, commit and digest, and verified before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dragoman.cards import Card
from dragoman.errors import InputError, PackageError
from dragoman.expert import Origin
from dragoman.plugins import Offer
from dragoman.ports import Port, choose_port
from dragoman.stores import Location, locate
from dragoman_registry.digest import digest_of_folder, digest_of_tensors
from dragoman_registry.parts import Component
from dragoman_registry.patterns import is_hub_id
from dragoman_registry.stores import is_path
from dragoman_registry.strict import parse_json

__all__ = ["Reference", "component_of"]


def component_of(offer: Offer[Any], part: nn.Module) -> Component:
    """Name a loaded expert or critic so that another machine finds the same one.

    Raises:
        InputError: it was built in memory and has weights, so there is nothing to refer to.
        PackageError: its files are damaged.
    """
    origin: Origin | None = getattr(part, "origin", None)
    name, plugin = offer.card.name, offer.plugin.distribution
    if origin is None:
        _check_stateless(name, part)
        return Component(name, plugin)
    digest = digest_of_folder(origin.folder)
    # Without a tensor there are no weights that somebody else could have put under another licence.
    by_card = origin.address == offer.card.repo or digest == digest_of_tensors({})
    return Component(
        name,
        plugin,
        repo=_address(origin),
        revision=origin.revision,
        subfolder=origin.subfolder,
        licence=offer.card.licence if by_card else "",
        digest=digest,
        config=_config_in(origin.folder, type(part)),
    )


@dataclass(frozen=True)
class Reference:
    """A component of a package, and the card that offers it here.

    Attributes:
        component: what the manifest says.
        card: the installed plugin's card.
        kind: the class that the card names.
    """

    component: Component
    card: Card
    kind: Any

    def check_port(self, name: str, config: Mapping[str, Any] | None = None) -> Port | None:
        """The port that a configuration describes, without weights; ``None`` where there is no configuration.

        Args:
            name: the port.
            config: the checkpoint's configuration; the one in the manifest when omitted.

        Raises:
            PortError: the expert has no such port.
            PackageError: the plugin makes no sense of the configuration.
        """
        config = self.component.config if config is None else config
        if config is None:
            return None
        try:
            ports = self.kind.describe(config)
        except Exception as error:
            raise PackageError(
                f"Expert {self.component.name!r} makes no sense of its configuration ({type(error).__name__}: {error})."
            ) from error
        return choose_port(ports, name, self.component.name)

    def locate(self, package: Location) -> Location:
        """Bring the checkpoint to this machine and compare its digest.

        Raises:
            PackageError: it cannot be had, or it is not the one that the package was made with.
        """
        part = self.component
        if package.revision and is_path(part.repo) and not is_hub_id(part.repo):
            raise PackageError(
                f"{package.address} names {part.name!r} by a folder of its author ({part.repo}); ask for a package"
                " whose experts are published."
            )
        location = locate(part.repo, part.revision or None)
        found = digest_of_folder(location.folder / part.subfolder)
        if found != part.digest:
            raise PackageError(
                f"Expert {part.name!r} at {part.repo} is not the one that {package.address} was made with:"
                f" its digest is {found}, the package says {part.digest}."
            )
        return location

    def config_at(self, location: Location) -> dict[str, Any] | None:
        """The configuration of the located checkpoint."""
        return _config_in(location.folder / self.component.subfolder, self.kind)

    def load(self, location: Location | None, device: str | torch.device | None) -> Any:
        """The part itself: from its verified checkpoint, or from its class alone where it has no weights."""
        if location is None:
            return self.kind()
        return self.kind.from_location(location, subfolder=self.component.subfolder).place(None, device)


def _check_stateless(name: str, part: nn.Module) -> None:
    # An expert with neither weights nor a configuration is its class, which the card names.
    if part.state_dict() or getattr(part, "config", None):
        raise InputError(
            f"{name!r} was built in memory, so a package cannot name it; write it with save_pretrained and load it"
            " from there with from_pretrained."
        )


def _address(origin: Origin) -> str:
    """The address, made absolute if it is a folder: a package is also read from elsewhere."""
    folder = Path(origin.address).expanduser().resolve()
    return str(folder) if folder / origin.subfolder == origin.folder.resolve() else origin.address


def _config_in(folder: Path, kind: type) -> dict[str, Any] | None:
    name = getattr(kind, "config_name", "")
    if not name or not (folder / name).is_file():
        return None
    try:
        config = parse_json((folder / name).read_bytes(), str(folder / name))
    except PackageError:
        return None  # other libraries allow NaN, or another form altogether; the expert's own loader decides
    return config if isinstance(config, dict) else None
