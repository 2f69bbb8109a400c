"""The toolkit of suite authors: samples, files, boxes, archives, layouts and class names."""

from suites.reading.archives import CHUNK, fetch_archive, unpack_tar
from suites.reading.boxes import cut_boxes
from suites.reading.files import (
    locate,
    open_hdf5,
    place_of,
    read_array,
    read_lines,
    read_picture,
    read_raster,
    require,
    require_all,
    require_distinct,
    require_one_place,
)
from suites.reading.layouts import ClassFolders, download_class_folders, one_hot_codes, open_class_folders
from suites.reading.samples import Samples, by_sensor, check_request, share_of, task_of

__all__ = [
    "CHUNK",
    "ClassFolders",
    "Samples",
    "by_sensor",
    "check_request",
    "cut_boxes",
    "download_class_folders",
    "fetch_archive",
    "locate",
    "one_hot_codes",
    "open_class_folders",
    "open_hdf5",
    "place_of",
    "read_array",
    "read_lines",
    "read_picture",
    "read_raster",
    "require",
    "require_all",
    "require_distinct",
    "require_one_place",
    "share_of",
    "task_of",
    "unpack_tar",
]
