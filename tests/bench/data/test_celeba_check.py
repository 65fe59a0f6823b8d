from __future__ import annotations

import json
import shutil
from pathlib import Path

from click.testing import CliRunner, Result
from PIL import Image

from bench.cli import main


def check(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["data", "check", str(folder), *options])


def test_a_sound_folder_is_described(faces: Path) -> None:
    done = check(faces)
    assert done.exit_code == 0, done.output
    assert "12 usable images" in done.stdout
    assert "labels   12 rows in list_attr_celeba.txt" in done.stdout
    assert "Black_Hair 25.0%" in done.stdout
    assert "people   6" in done.stdout
    assert "training (7), validation (2), test (3)" in done.stdout
    labels = json.loads(check(faces, "--json").stdout)["labels"]
    assert labels["positives"]["Black_Hair"] == 3
    assert labels["constant"] == labels["without_image"] == labels["without_row"] == []
    assert (labels["rows"], labels["identities"], labels["conflicts"]) == (12, 6, {})


def test_faults_between_labels_and_images_are_named(faces: Path) -> None:
    images = faces / "img_align_celeba"
    (images / "000002.jpg").rename(images / "spare.jpg")
    Image.new("RGB", (64, 64)).save(images / "000003.jpg")
    (images / "000004.jpg").write_bytes(b"")
    done = check(faces)
    assert done.exit_code == 2
    assert "img_align_celeba/000004.jpg is empty" in done.stdout
    assert "1 has labels and is not there: 000002.jpg" in done.stdout
    assert "1 has no label and is not used: spare.jpg" in done.stdout
    assert "1 has not the 178 x 218 pixels of CelebA: img_align_celeba/000003.jpg" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        "3 faults: mend or remove what is named, or leave them out by --on-bad-image skip at the "
        "run."
    )


def test_columns_of_other_attributes_are_named(faces: Path) -> None:
    path = faces / "list_attr_celeba.txt"
    path.write_text(path.read_text().replace("Young", "Yuong").replace("Bald", "Xxx"))
    done = check(faces)
    assert done.exit_code == 2
    assert done.stdout.splitlines()[-4:] == [
        "columns  Xxx is none of CelebA's 40 attributes",
        "columns  Yuong is none of CelebA's 40 attributes: did you mean Young?",
        "columns  2 are missing of CelebA's 40: Bald, Young",
        "4 faults: mend or remove what is named.",
    ]
    labels = json.loads(check(faces, "--json").stdout)["labels"]
    assert labels["unknown"] == {"Xxx": None, "Yuong": "Young"}
    assert labels["missing"] == ["Bald", "Young"]
    (faces / "img_align_celeba" / "000004.jpg").write_bytes(b"")
    end = check(faces).stdout.splitlines()[-1]
    assert end.startswith("5 faults: ")
    assert "leave the images among them out by --on-bad-image skip" in end


def test_constant_and_conflicting_labels_are_counted(faces: Path) -> None:
    path = faces / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    names = lines[1].split()
    rows = [line.split() for line in lines[2:]]
    for number, row in enumerate(rows):
        row[1 + names.index("Bald")] = "-1"
        if number < 2:
            row[1 + names.index("Blond_Hair")] = row[1 + names.index("Brown_Hair")] = "1"
            row[1 + names.index("Black_Hair")] = "-1"
    path.write_text("\n".join([*lines[:2], *(" ".join(row) for row in rows)]))
    done = check(faces)
    assert done.exit_code == 0, done.output
    assert "constant Bald: nothing can be learnt" in done.stdout
    assert "Blond_Hair + Brown_Hair (2): exclusive by their meaning" in done.stdout


def test_missing_and_short_files_of_identities_and_parts(faces: Path) -> None:
    people, parts = faces / "identity_CelebA.txt", faces / "list_eval_partition.txt"
    people.write_text("\n".join(people.read_text().splitlines()[:-2]))
    parts.write_text(parts.read_text().replace("000001.jpg 0", "000001.jpg 7"))
    done = check(faces)
    assert done.exit_code == 2
    assert "2 rows are not in identity_CelebA.txt" in done.stdout
    assert "1 row is in no part of list_eval_partition.txt" in done.stdout
    people.unlink()
    parts.unlink()
    done = check(faces)
    assert done.exit_code == 0
    assert "people   unknown" in done.stdout
    assert "parts    unknown" in done.stdout


def test_malformed_annotations_and_folders_are_refused(faces: Path) -> None:
    path = faces / "list_attr_celeba.txt"
    path.write_text(path.read_text().replace("000003.jpg ", "000003.jpg  1 "))
    done = check(faces)
    assert done.exit_code == 2
    assert "line 5: stand 41 labels for 40 attributes" in done.stderr
    assert "Traceback" not in done.stderr
    shutil.rmtree(faces / "img_align_celeba")
    assert "0 usable images" in check(faces).stdout


def test_celeba_hq_is_checked_as_any_folder(faces: Path) -> None:
    (faces / "img_align_celeba").rename(faces / "images")
    (faces / "image_list.txt").touch()
    assert "labels" not in check(faces).stdout
