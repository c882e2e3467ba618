"""Environments for one test, in which all that is installed here can be imported, and what is installed there."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from shutil import which

TIMEOUT = 600
#: An installer that works offline: nothing is fetched, and projects are built with what is installed here.
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_QUIET": "1",
    "UV_OFFLINE": "1",
    "UV_NO_BUILD_ISOLATION": "1",
    "UV_LINK_MODE": "copy",
}


#: Where programs are found that are installed here, such as uv, though this environment is not activated.
PATH = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])


class Environment:
    """A virtual environment beside the one that runs the tests, made in a moment by ``venv`` or ``uv``."""

    def __init__(self, folder: Path, maker: str = "venv") -> None:
        if maker == "uv":
            uv = which("uv", path=PATH)
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True, timeout=TIMEOUT)
        else:
            venv.create(folder, with_pip=False, symlinks=True)
        self.folder, self.python = folder, folder / "bin" / "python"
        ours = sysconfig.get_path("purelib")
        theirs = next(folder.glob("lib/python*/site-packages"))
        (theirs / "beside.pth").write_text(f"import site; site.addsitedir({ours!r})\n")

    def run(self, *arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a Python module with arguments."""
        return subprocess.run(
            [self.python, "-m", *map(str, arguments)],
            env={**os.environ, **OFFLINE, "OMP_NUM_THREADS": "1", "PATH": PATH, **variables},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def dragoman(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("dragoman.cli", *arguments, **variables)


def wheel(folder: Path, distribution: str, source: str, *, requires: str = "", version: str = "1.0") -> Path:
    """A wheel with one module that is a plugin, as an installer takes it."""
    module = distribution.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    metadata += f"Requires-Dist: dragoman{requires}\n" if requires else ""
    files = {
        f"{module}.py": source,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[dragoman]\n{distribution} = {module}\n",
    }
    records = [f"{name},sha256={_digest(text)},{len(text.encode())}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*records, f"{info}/RECORD,,", ""])
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
