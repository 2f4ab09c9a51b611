"""Text on which empirical distributions are taken: files of a folder, or the standard library's source."""

import os
import sysconfig
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from .._errors import refuse

SKIPPED_FOLDERS = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"})
"""Folders of the standard library that are left out (our choice): tests, which some systems do not
install, hold broken files on purpose; and packages that are not the interpreter's own."""


class Corpus(NamedTuple):
    """The text of each file, and how many files were skipped because they are not UTF-8."""

    texts: tuple[str, ...]
    skipped: int

    @property
    def characters(self) -> int:
        """Length of all texts together."""
        return sum(map(len, self.texts))


def corpus_files(path: Path, *, skip: Collection[str] = ()) -> list[Path]:
    """The file `path`, or every `*.py` file under the folder `path`, in order of their names.

    Folders named in `skip` are not entered, at any depth.

    Raises:
        InvalidInputError: no such path, or a folder without `*.py` files.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        refuse("path", str(path), "a text file, or a folder with *.py files", "no such path")
    files = []
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = [name for name in subfolders if name not in skip]
        files += [Path(folder, name) for name in names if name.endswith(".py")]
    if not files:
        refuse("path", str(path), "a folder with *.py files", "name one text file instead")
    return sorted(files, key=lambda file: file.relative_to(path).parts)


def standard_library_files() -> list[Path]:
    """Every `*.py` file of the running interpreter's standard library, without its tests."""
    return corpus_files(Path(sysconfig.get_path("stdlib")), skip=SKIPPED_FOLDERS)


def read_corpus(files: Iterable[Path]) -> Corpus:
    """The texts of `files` as UTF-8, with any line ends; files that are not UTF-8 are counted.

    Raises:
        InvalidInputError: a file that cannot be read, or no text at all.
    """
    texts, skipped = [], 0
    for file in files:
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            skipped += 1
        except OSError as error:
            refuse("path", str(file), "a file that can be read", str(error.strerror))
    if not any(texts):
        count = len(texts) + skipped
        refuse("path", f"{file if count == 1 else f'{count} files'} without text", "some UTF-8 text")
    return Corpus(tuple(texts), skipped)
