"""Text on which empirical distributions are taken: files of a folder, or the standard library's source."""

import hashlib
import os
import sysconfig
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from .._errors import check_bytes, refuse
from .arrays import reading

# Tests, which some systems do not install, and packages that are not the interpreter's own (our choice).
SKIPPED_FOLDERS = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"})

# The most text that is read, one file in how many is held out, the files of a folder (our choices).
MAX_CORPUS_BYTES, HELD_OUT, SUFFIXES = 2**31, 10, (".py", ".txt", ".md")


class Corpus(NamedTuple):
    """The text of each file, and how many files were skipped because they are not UTF-8."""

    texts: tuple[str, ...]
    skipped: int

    @property
    def characters(self) -> int:
        """Length of all texts together."""
        return sum(map(len, self.texts))


class Split(NamedTuple):
    """The text that a model is trained on, and the text that it never sees."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    rule: str

    @property
    def fingerprint(self) -> str:
        """A hash of both sides: it tells a text that has changed since."""
        digest = hashlib.sha256()
        for side in (self.training, self.held_out):
            digest.update(b"".join(map(_digest, side)) + b"|")
        return digest.hexdigest()[:16]


def corpus_files(path: Path, *, skip: Collection[str] = (), suffixes: tuple = SUFFIXES) -> list[Path]:
    """The file `path`, or every file of these suffixes below it, but in folders to `skip`, by name."""
    wanted = " or ".join(f"*{suffix}" for suffix in suffixes) + " files"
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        there = "this is neither" if os.path.lexists(path) else "no such path"
        refuse("path", path, f"a text file, or a folder with {wanted}", there)
    files = []
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = [name for name in subfolders if name not in skip]
        files += [Path(folder, name) for name in names if name.endswith(suffixes)]
    files = [file for file in files if os.path.isfile(file)]
    if not files:
        refuse("path", path, f"a folder with {wanted}", "name one text file instead")
    return sorted(files, key=lambda file: file.relative_to(path).parts)


def standard_library_files() -> list[Path]:
    """Every `*.py` file of the running interpreter's standard library, without its tests."""
    return corpus_files(Path(sysconfig.get_path("stdlib")), skip=SKIPPED_FOLDERS, suffixes=(".py",))


def read_corpus(files: Iterable[Path], *, limit: int = MAX_CORPUS_BYTES) -> Corpus:
    """The texts of `files`, at most `limit` bytes of UTF-8 in all; files that are not UTF-8 are counted."""
    texts, skipped, size = [], 0, 0
    for file in files:
        with reading("path", file):
            size += os.path.getsize(file)
            check_bytes(size, limit, "text", "take a part of it")
            try:
                texts.append(file.read_text(encoding="utf-8"))
            except UnicodeDecodeError:
                skipped += 1
    if not any(texts):
        count = len(texts) + skipped
        refuse("path", f"{file if count == 1 else f'{count} files'} without text", "some UTF-8 text")
    return Corpus(tuple(texts), skipped)


def held_out_split(texts: Sequence[str]) -> Split:
    """One file in ten is held out, by the hash of its content alone.

    Equal files are on one side, and a corpus that grows keeps its split. If that leaves one side empty, the
    file of the smallest hash is held out; a single text is cut, and its last tenth is held out.
    """
    hashes = [int.from_bytes(_digest(text)[:8], "big") for text in texts]
    if len(set(hashes)) == 1:
        text, out = texts[0], len(texts[0]) // HELD_OUT
        cut = len(text) - out
        return Split((text[:cut],), (text[cut:],), f"the last tenth of the text, {out} characters")
    chosen = {value for value in hashes if value % HELD_OUT == 0}
    if not chosen or len(chosen) == len(set(hashes)):
        chosen = {min(hashes)}
    held_out = tuple(text for text, value in zip(texts, hashes, strict=True) if value in chosen)
    training = tuple(text for text, value in zip(texts, hashes, strict=True) if value not in chosen)
    return Split(training, held_out, f"{len(held_out)} of {len(texts)} files, by the hash of their content")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
