"""Toolkit for authors of suites: find a dataset's files, check them, read them, and make a split of them.

A suite is one file with a ``SUITE`` (see `bench.core.Suite`) whose function ``open`` returns a `Samples`. This package
has what such functions share. Its readers name the file in every error, never run or request anything that a file
refers to, and follow no link out of the data folder.

What it has:

* the split: `Samples`, `check_request`, `task_of`, `by_sensor`, `columns_of`, `share_of`, `require_counts`
* the files: `locate`, `require`, `require_all`, `require_distinct`, `listed_path`, `listed_stem`, `is_there`
* rasters: `read_image`, `read_mask`, `read_raster`, `open_raster`, `place_of`, `to_degrees`, `require_one_place`
* pictures: `read_picture`, `open_picture`
* arrays: `read_array`, `read_arrays`, `read_zarr`, `open_hdf5`, `read_dataset`,
  `read_variable`, `read_netcdf`, `declared_pixels`
* documents: `read_text`, `read_lines`, `read_table`, `read_json`, `read_parquet`, `read_sqlite`, `read_xml`,
  `read_boxes`
* errors: `reading`, which adds the file's name to every error of a decoder; `check_shape`, `check_type`
* layouts and downloads: `ClassFolders`, `open_class_folders`, `download_class_folders`, `one_hot_codes`, `cut_boxes`,
  `fetch_archive`, `unpack_zip`, `unpack_tar`, `ArchiveLimits`

Examples:
    A suite of PNG tiles with a list per split, complete:

    >>> import numpy as np
    >>> from bench.core import Sample, Suite, Task
    >>> from bench.core.sensors import rgb_bands
    >>> from suites.reading import Samples, by_sensor, check_request, listed_stem, locate, read_lines, read_picture
    >>> from suites.reading import require_all, require_distinct
    >>>
    >>> CLASSES = ("forest", "water")
    >>> def open_split(root, task, split, bands):
    ...     check_request(SUITE, task, split, bands)  # an unknown task, split or band is an error
    ...     lists = [f"{name}.txt" for name in SUITE.splits]
    ...     folder = locate(SUITE.name, root, SUITE.folder, lists, "copy the tiles there")
    ...     ids = {name: [listed_stem(line, f"{name}.txt") for line in read_lines(folder / f"{name}.txt")]
    ...            for name in SUITE.splits}
    ...     require_distinct(SUITE.name, ids)  # no tile is in two splits
    ...     paths = [folder / "tiles" / f"{name}.png" for name in ids[split]]
    ...     require_all(paths, SUITE.name, f"{split}.txt")  # absent files are found now, not in the middle of a run
    ...     labels = [CLASSES.index(name.partition("_")[0]) for name in ids[split]]
    ...     columns = by_sensor(bands, [band.name for band in SUITE.bands])["rgb"]
    ...
    ...     def read(index):
    ...         values = read_picture(paths[index], (3, *SUITE.image_size))
    ...         return Sample(images={"rgb": values[columns][None].astype(np.float32)}, target=labels[index])
    ...
    ...     return Samples(ids=ids[split], blocks=ids[split], read=read, read_targets=lambda: np.array(labels))
    >>>
    >>> SUITE = Suite(
    ...     name="tiles", version=1, title="Forest or water", bands=rgb_bands(1.0), image_size=(8, 8), gsd_m=1.0,
    ...     tasks=(Task(name="cover", kind="classification", classes=CLASSES, metric="accuracy"),),
    ...     splits={"train": 2, "val": 1, "test": 1}, folder="tiles", open=open_split,
    ... )

    With its files in place it opens as every suite does, here with two of its three bands:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as data:
    ...     (Path(data) / "tiles" / "tiles").mkdir(parents=True)
    ...     for split, names in {"train": ["forest_1", "water_1"], "val": ["forest_2"], "test": ["water_2"]}.items():
    ...         _ = (Path(data) / "tiles" / f"{split}.txt").write_text(chr(10).join(f"{name}.png" for name in names))
    ...         for name in names:
    ...             Image.new("RGB", (8, 8), (10, 20, 30)).save(Path(data) / "tiles" / "tiles" / f"{name}.png")
    ...     train = SUITE.open(Path(data), "cover", "train", (SUITE.bands[2], SUITE.bands[0]))
    ...     print(list(train.ids), train.targets().tolist(), train[1].target)
    ...     print(train[0].images["rgb"].shape, train[0].images["rgb"][0, :, 0, 0].tolist())
    ['forest_1', 'water_1'] [0, 1] 1
    (1, 2, 8, 8) [30.0, 10.0]
"""

from suites.reading.archives import CHUNK, ArchiveLimits, fetch_archive, unpack_tar, unpack_zip
from suites.reading.arrays import read_array, read_arrays, read_zarr
from suites.reading.boxes import cut_boxes
from suites.reading.declared import declared_pixels
from suites.reading.documents import (
    read_boxes,
    read_json,
    read_lines,
    read_parquet,
    read_sqlite,
    read_table,
    read_text,
    read_xml,
)
from suites.reading.files import (
    is_there,
    listed_path,
    listed_stem,
    locate,
    reading,
    require,
    require_all,
    require_distinct,
)
from suites.reading.hdf5 import open_hdf5, read_dataset, read_netcdf, read_variable
from suites.reading.layouts import ClassFolders, download_class_folders, one_hot_codes, open_class_folders
from suites.reading.pictures import open_picture, read_picture
from suites.reading.rasters import (
    open_raster,
    place_of,
    read_image,
    read_mask,
    read_raster,
    require_one_place,
    to_degrees,
)
from suites.reading.samples import Samples, by_sensor, check_request, columns_of, require_counts, share_of, task_of
from suites.reading.shapes import check_shape, check_type

__all__ = [
    "CHUNK",
    "ArchiveLimits",
    "ClassFolders",
    "Samples",
    "by_sensor",
    "check_request",
    "check_shape",
    "check_type",
    "columns_of",
    "cut_boxes",
    "declared_pixels",
    "download_class_folders",
    "fetch_archive",
    "is_there",
    "listed_path",
    "listed_stem",
    "locate",
    "one_hot_codes",
    "open_class_folders",
    "open_hdf5",
    "open_picture",
    "open_raster",
    "place_of",
    "read_array",
    "read_arrays",
    "read_boxes",
    "read_dataset",
    "read_image",
    "read_json",
    "read_lines",
    "read_mask",
    "read_netcdf",
    "read_parquet",
    "read_picture",
    "read_raster",
    "read_sqlite",
    "read_table",
    "read_text",
    "read_variable",
    "read_xml",
    "read_zarr",
    "reading",
    "require",
    "require_all",
    "require_counts",
    "require_distinct",
    "require_one_place",
    "share_of",
    "task_of",
    "to_degrees",
    "unpack_tar",
    "unpack_zip",
]
