"""The state of every plugin, found out in a child process.

``dragoman plugins`` is where people look when a plugin does harm, so it imports none itself. A fork of this process
imports them one after the other and tells what it finds. One that ends the child, or that does not let itself be
interrupted, is left out of the next.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from typing import Any

from dragoman import plugins
from dragoman.catalogue import Plugin
from dragoman.entrypoints import EntryPoint
from dragoman.errors import PluginError

__all__ = ["inspect"]


def inspect() -> list[Plugin]:
    """Every installed plugin, in the state that it has when it is loaded.

    Where processes cannot fork (Windows), the plugins are loaded here, contained as in every other command.

    Raises:
        PluginError: the child ended before it came to any plugin.
    """
    if not hasattr(os, "fork"):
        return plugins.discover().plugins
    fatal: dict[str, str] = {}
    while True:
        begun, problem = "", "it ends the process that imports it"
        with closing(_messages(fatal)) as messages:
            for message in messages:
                if message is None:
                    problem = "it does not let itself be interrupted"
                elif isinstance(message, list):
                    return [Plugin(**data) for data in message]
                else:
                    begun = message
        if not begun:
            raise PluginError("The process that was to look at the plugins has ended; what it said is above.")
        fatal[begun] = f"{problem}; `dragoman disable {begun.partition('/')[2]}` keeps it away"


def _messages(fatal: Mapping[str, str]) -> Generator[Any, None, None]:
    """What a child says: names of plugins that it begins with, then all plugins; ``None`` when it takes for ever."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiving)
        _report(sending, fatal)
    os.close(sending)
    try:
        yield from _lines(receiving, patience=2 * plugins.plugin_seconds() + 1)
    finally:
        os.close(receiving)
        with suppress(ProcessLookupError, ChildProcessError):  # where SIGCHLD is ignored, it may be gone already
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _lines(pipe: int, patience: float) -> Iterator[Any]:
    """Messages from a pipe until it ends; ``None``, and then no more, if one takes longer than so many seconds."""
    unread = b""
    while True:
        if not select.select([pipe], [], [], patience)[0]:
            yield None
            return
        if not (part := os.read(pipe, 1 << 16)):
            return
        *lines, unread = (unread + part).split(b"\n")
        yield from map(json.loads, lines)


def _report(pipe: int, fatal: Mapping[str, str]) -> None:
    """Load all plugins and write what is found; this ends the process."""

    def send(message: object) -> None:
        with open(pipe, "w", encoding="utf-8", closefd=False) as file:
            file.write(json.dumps(message) + "\n")

    def veto(entry: EntryPoint) -> str:
        name = f"{entry.distribution}/{entry.name}"
        if name not in fatal:
            send(name)
        return fatal.get(name, "")

    status = 1
    try:
        os.dup2(sys.__stderr__.fileno() if sys.__stderr__ else 2, 1)  # whatever a plugin prints, and its libraries
        send([asdict(plugin) for plugin in plugins.discover(veto=veto).plugins])
        status = 0
    except KeyboardInterrupt:
        pass
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)
