"""`bench score` on bad input: one sentence that names it and the remedy."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.bench.cli.scoring import TOY, pictures, score, table


def save(path: str, array: Any) -> None:
    np.save(path, np.asarray(array), allow_pickle=True)


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("executed").touch, ())


def bad_files() -> None:
    """Everything that a case below is about."""
    Path("empty").mkdir()
    pictures("one", 1, 0)
    pictures("few", 4, 0)
    pictures("other", 2, 0, size=24)
    pictures("mixed", 2, 0)
    Image.new("RGB", (20, 10)).save("mixed/wide.png")
    pictures("broken", 2, 0)
    Path("broken/page.png").write_text("<html>")
    Path("page.png").write_text("<html>")
    Image.new("I;16", (16, 16)).save("deep.png")
    Path("names").mkdir()
    Image.new("RGB", (16, 16)).save("names/another.png")
    Path("twice").mkdir()
    for name in ("000.png", "000.bmp"):
        Image.new("RGB", (16, 16)).save(f"twice/{name}")
    factors = np.indices((3, 4)).reshape(2, -1).T.repeat(3, axis=0)
    save("factors.npy", factors)
    save("codes.npy", factors + np.random.default_rng(0).standard_normal((36, 2)))
    save("nan.npy", np.full((36, 2), np.nan))
    save("constant.npy", np.ones((36, 2)))
    save("short.npy", np.ones((9, 2)))
    save("flat.npy", np.ones(36))
    header = Path("codes.npy").read_bytes()
    Path("damaged.npy").write_bytes(header.replace(b"(36, 2)", b"((36, 2"))
    Path("cut.npy").write_bytes(header[:-8])
    save("large.npy", 1e160 * np.load("codes.npy"))
    save("words.npy", np.array([["a"] * 2] * 36))
    save("one_value.npy", np.stack([factors[:, 0], np.full(36, 7)], axis=1))
    save("lonely.npy", np.stack([factors[:, 0], [*range(4), *[0] * 32]], axis=1))
    save("objects.npy", np.array([[Trap()]], dtype=object))
    Path("pickle.npy").write_bytes(pickle.dumps(Trap()))
    np.savez("archive.npz", codes=np.ones((36, 2)))
    table("true.csv", "Bald,Young", "0,1", "1,1")
    table("other.csv", "Bald,Old", "0,1", "1,1")
    table("headless.csv", "0,1", "1,1")
    table("longer.csv", "Bald,Young", "0,1", "1,1", "1,0")
    table("probable.csv", "Bald,Young", "0,0.7", "1,1")
    table("gap.csv", "Bald,Young", "0,1", "1,")
    table("cut.csv", "Bald,Young", "0", "1,1")
    table("ragged.csv", "Bald,Young", "0,1", "1,1,1")
    table("nothing.csv", "Bald,Young")
    table("huge.csv", "Bald,Young", "1" + 400 * "0" + ",1")
    table("doubled.csv", "Bald,Bald", "0,1")
    table("named.csv", "file,Bald,Young", "a.png,0,1", "a.png,1,1")


FOLDERS = {
    "no folder": ("fd --real nowhere --fake few", "nowhere", "give the one"),
    "no images": ("fd --real empty --fake few", "empty", "give a folder of images"),
    "a file": ("fd --real page.png --fake few", "page.png", "give the folder"),
    "one image": ("fd --real one --fake few", "one gives 1 image, but", "add images"),
    "no image": ("fd --real broken --fake few", "page.png is no image", "--on-bad-image skip"),
    "mixed sizes": ("fd --real mixed --fake few", "wide.png has 20 x 10", "--size 10"),
    "small subsets": ("kd --real few --fake few", "few gives 4", "--subset-size"),
    "few for splits": ("is --fake few", "few gives 4", "--splits"),
    "neighbours": ("prdc --real few --fake few", "few gives 4", "--neighbours"),
    "few for t-SNE": ("chamfer --real few --fake few", "few give 8 images", "--limit"),
    "no extractor": ("is --fake few --extractor nosuch", "extractor 'nosuch'", "bench list"),
}
WRITE_IT = ".npy file: write it with numpy.save."
FILES = {
    "no generator": ("ppl --generator nosuch", "generator 'nosuch'", "bench list"),
    "no image file": ("hashes nowhere.png few", "nowhere.png", "give an image"),
    "image and folder": ("hashes few/000.png few", "few/000.png", "two folders"),
    "not decodable": ("hashes page.png few/000.png", "page.png is no image", "mend"),
    "16 bits": ("hashes deep.png few/000.png", "deep.png", "save it with 8 bits"),
    "bad in folder": ("hashes broken few", "page.png is no image", "mend or remove"),
    "empty folder": ("hashes empty few", "empty holds no image", "give a folder"),
    "other sizes": ("hashes few other", "few/000.png has 16 x 16", "bring them to one size"),
    "no pairs": ("hashes one names", "No image in one has the name", "the same names"),
    "two of a name": ("hashes few twice", "000.bmp and 000.png", "remove one"),
    "NaN": ("disentanglement nan.npy factors.npy", "nan.npy: The array has 72 NaN", "finite"),
    "constant": ("disentanglement constant.npy factors.npy", "constant.npy", "that vary"),
    "rows": ("disentanglement short.npy factors.npy", "short.npy has 9 rows", "same samples"),
    "one axis": ("disentanglement flat.npy factors.npy", "flat.npy", "a table"),
    "words": ("disentanglement words.npy factors.npy", "words.npy holds <U1", "numbers"),
    "one value": ("disentanglement codes.npy one_value.npy", "one_value.npy: Factor 1", "varies"),
    "lonely": (
        "disentanglement codes.npy lonely.npy --metrics fvm",
        "fvm of codes.npy and lonely.npy: Factor 1 has the value 1 in one sample only",
        "leave fvm out by --metrics",
    ),
    "objects": ("disentanglement objects.npy factors.npy", "objects.npy holds pickled", "never"),
    "a pickle": ("disentanglement pickle.npy factors.npy", "pickle.npy is no whole", WRITE_IT),
    "damaged": ("disentanglement damaged.npy factors.npy", "damaged.npy is no whole", WRITE_IT),
    "cut off": ("disentanglement cut.npy factors.npy", "cut.npy is no whole", WRITE_IT),
    "an archive": ("disentanglement archive.npz factors.npy", "archive.npz is no whole", WRITE_IT),
    "a folder": ("disentanglement few factors.npy", "few cannot be read (Is a", "give a .npy file"),
    "overflow": (
        "disentanglement large.npy factors.npy",
        "large.npy and",
        "powers overflow; change",
    ),
    "no array": ("disentanglement nowhere.npy factors.npy", "nowhere.npy", "numpy.save"),
    "no metric": ("disentanglement codes.npy factors.npy --metrics mgi", "did you mean mig", "dci"),
    "no table": ("classification nowhere.csv true.csv", "nowhere.csv", "give a table"),
    "columns": ("classification other.csv true.csv", "other.csv lacks the columns Young", "same"),
    "no header": ("classification headless.csv true.csv", "headless.csv has no header", "first"),
    "samples": ("classification longer.csv true.csv", "longer.csv has 3 rows", "--id"),
    "not 0 or 1": ("classification probable.csv true.csv", "Young is 0.7 in sample 1", "> 0.5"),
    "too large": ("classification huge.csv true.csv", "huge.csv: Bald holds a number", "mend"),
    "a gap": (
        "classification gap.csv true.csv",
        "gap.csv: Young is missing in sample 2",
        "a label",
    ),
    "short": ("classification cut.csv true.csv", "Young is missing in sample 1", "a label"),
    "ragged": ("classification ragged.csv true.csv", "ragged.csv is no table", "as many values"),
    "only a header": ("classification nothing.csv true.csv", "nothing.csv", "add them"),
    "one name twice": ("classification doubled.csv true.csv", "doubled.csv names", "rename"),
    "names": ("classification named.csv named.csv", "file is a.png in sample 1", "--id file"),
    "names twice": ("classification named.csv named.csv --id file", "(a.png) occurs twice", "own"),
    "no such id": ("classification true.csv true.csv --id file", "true.csv has no column", "--id"),
    "an image": ("classification few/000.png true.csv", "few/000.png cannot be read", "as text"),
}


@pytest.mark.parametrize("case", [*FOLDERS, *FILES])
@pytest.mark.usefixtures("scratch")
def test_bad_input_is_one_sentence(case: str) -> None:
    bad_files()
    arguments, what, remedy = (FOLDERS | FILES)[case]
    quick = TOY if case in FOLDERS and "--extractor" not in arguments else ()
    done = score(*arguments.split(), *quick)
    assert done.exit_code == 2, done.output
    *notices, error = done.stderr.splitlines()
    assert error.startswith("Error: ")
    assert error.endswith(".")
    assert what in error
    assert remedy in error
    assert not any("Error" in notice or "overflow" in notice for notice in notices)
    assert done.stdout == ""
    assert not Path("executed").exists()
