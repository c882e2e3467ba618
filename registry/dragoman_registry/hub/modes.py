"""Whether a file is kept as git keeps text, or as LFS keeps large and binary files."""

from __future__ import annotations

from pathlib import PurePosixPath

__all__ = ["upload_mode"]

#: Larger files are LFS whatever they hold.
MAX_TEXT = 1 << 20
#: Always LFS, as in the ``.gitattributes`` that the public Hub gives a new repository.
_BINARY = frozenset(
    f".{suffix}"
    for suffix in (
        *(
            "7z",
            "arrow",
            "bin",
            "bz2",
            "ckpt",
            "ftz",
            "gz",
            "h5",
            "joblib",
            "mlmodel",
            "model",
            "msgpack",
            "npy",
            "npz",
        ),
        *("onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar", "safetensors", "tar", "tflite", "tgz"),
        *("wasm", "xz", "zip", "zst"),
    )
)


def upload_mode(path: str, size: int, sample: bytes) -> str:
    """``"lfs"`` or ``"regular"``.

    Args:
        path: in the repository.
        size: bytes.
        sample: the first bytes.
    """
    if size == 0:
        return "regular"
    binary = PurePosixPath(path).suffix.lower() in _BINARY or b"\0" in sample
    return "lfs" if binary or size > MAX_TEXT else "regular"
