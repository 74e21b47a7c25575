"""Whatever becomes of the structure of a data set: it is read rightly, or refused with one error."""

from __future__ import annotations

import json
import os
import random
import shutil
import warnings

import pytest
from mutated_data import FIRST_TEST_VALUE, FOLDER_CHANGES, PARQUET_CHANGES, mutate, write_folders, write_parquet
from trials import NIGHTLY, Trials

from ucbench.data.images import DamagedImagesError
from ucbench.data.loading import load_dataset
from ucbench.errors import UcbenchError
from ucbench_datasets.imagefolder import ImageFolder
from ucbench_datasets.params import ImageFolderParams, ParquetParams
from ucbench_datasets.parquet import Parquet

#: Data sets of each of the two kinds; 5,000 where the environment variable UCBENCH_TEST_NIGHTLY is set.
COUNT = 5_000 if NIGHTLY else 250
#: No class is called so by right; ``train`` may be one, of trains.
SPLIT_WORDS = {"test", "testing", "val", "valid", "validation"}
#: Changes that put test images elsewhere on purpose, under names that say nothing of a split.
MOVES = {"copy_folder", "rename_split_folder", "rename_class_folder", "rename_parquet", "add_link"}

KINDS = {
    "imagefolder": (write_folders, FOLDER_CHANGES, ImageFolder, ImageFolderParams),
    "parquet": (write_parquet, PARQUET_CHANGES, Parquet, ParquetParams),
}


def faults(kind, seed, root):
    """What is wrong with how a mutated data set was read, and whether one of ucbench's errors refused it."""
    write, changes, reader, make_params = KINDS[kind]
    rng = random.Random(seed)
    write(root)
    done = mutate(rng, root, changes)
    options = rng.choice([{}, {}, {"size": 8}, {"validation": 0.3}, {"holdout": 0.3}])
    if kind == "parquet":
        options.pop("holdout", None)
    params = make_params(path=root, **options)
    dataset = reader(params)
    try:
        loaded = load_dataset(dataset, params)
    except DamagedImagesError:
        return [f"{done} {options}: {fault}" for fault in faults_without_damaged(reader, params)], True
    except UcbenchError as error:
        explained = error.exit_code in (1, 2) and str(error)
        return ([], True) if explained else ([f"{done} {options}: exit code {error.exit_code}"], False)
    except Exception as error:
        return [f"{done} {options}: {type(error).__name__}: {error}"], False
    wrong = [f"class {name}" for name in loaded.train.classes if name.lower() in SPLIT_WORDS]
    values = set(loaded.train.images[:, 0, 0, 0].tolist())
    tests = range(FIRST_TEST_VALUE, FIRST_TEST_VALUE + 6)
    if not options.keys() & {"holdout", "validation"} and not MOVES & set(done) and values & set(tests):
        wrong.append("test images are trained on")
    if "validation" not in options:
        wrong += unaccounted(dataset, root)
    json.dumps([loaded.inventory.compact(), loaded.inventory.lines()])
    return [f"{done} {options}: {'; '.join(wrong)}"] if wrong else [], False


def faults_without_damaged(reader, params):
    """What is wrong with how a data set was read without its damaged images, if it is then read."""
    params = params.model_copy(update={"damaged": "leave-out"})
    dataset = reader(params)
    try:
        loaded = load_dataset(dataset, params)
    except DamagedImagesError as error:
        return [f"leave-out refuses damaged images: {error}"]
    except UcbenchError:
        return []
    splits = ("train",) if params.validation else ("train", "test")
    count = sum(len(dataset.find(split).images) for split in splits)
    damaged = sum(len(dataset.sources[split].damaged) for split in splits)
    accounted = len(loaded.train) + len(loaded.test) + damaged == count and damaged
    return [] if accounted else [f"{damaged} of {count} images are left out, {loaded.inventory} is read"]


def unaccounted(dataset, root):
    """Files that were neither read nor named as passed over."""
    splits = [dataset.find(split) for split in ("train", "test")]
    read = {image.where.partition(" row ")[0] for split in splits for image in split.images}
    read |= {os.path.join(root, name) for split in splits for name in split.sources.served}  # shards without rows too
    passed_over = {
        name.rstrip("/") for split in splits for names in split.sources.passed_over.values() for name in names
    }
    missing = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            place = os.path.relpath(path, root)
            above = [place[:end] for end, letter in enumerate(place) if letter == "/"]
            if path not in read and not passed_over & {place, *above} and name != "labels.json":
                missing.append(f"{place} is not accounted for")
    return missing


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_dataset_is_read_rightly_or_refused(kind, tmp_path):
    trials = Trials(f"data sets, {kind}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Pillow's, of damaged metadata
        for seed in range(COUNT):
            root = tmp_path / "data"
            wrong, refused = faults(kind, seed, root)
            trials.tried, trials.refused = trials.tried + 1, trials.refused + refused
            trials.wrong += [f"seed {seed}: {fault}" for fault in wrong]
            for path in (root, tmp_path / "inner"):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
    trials.end()
