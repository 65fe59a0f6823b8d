"""Feature networks by name, and features of whole datasets."""

from __future__ import annotations

from functools import cache

from bench import catalog
from bench.errors import BenchError
from bench.extractors.base import Extractor
from bench.extractors.features import FeatureStatistics, features_of, statistics_of
from bench.extractors.names import metric_name

__all__ = [
    "Extractor",
    "FeatureStatistics",
    "build_extractor",
    "features_of",
    "load_extractor",
    "metric_name",
    "statistics_of",
]

_BASE = f"{Extractor.__module__}.{Extractor.__qualname__}"


def load_extractor(name: str, device: str = "cpu", compiled: bool = False) -> Extractor:
    """The extractor of a catalog name, loaded once per process and device.

    Args:
        name: A name of ``bench list extractors`` or ``package.module:Class``.
        device: Where to put it.
        compiled: Compute its vectors by compiled code: worth its wait of up to a minute from some
            thousand images on. The same vectors up to rounding.

    Raises:
        UnknownName: There is no such extractor.
        MissingFile: Its weights are not there; the message says what to do.
    """
    return _load(name, device, compiled)


def build_extractor(name: str) -> Extractor:
    """A new extractor of a catalog name, shared with nobody.

    Raises:
        UnknownName: There is no such extractor.
        MissingFile: Its weights are not there; the message says what to do.
        BenchError: What the name leads to is no extractor.
    """
    build = catalog.lookup("extractors", name).load()
    if not (isinstance(build, type) and issubclass(build, Extractor)):
        raise BenchError(f"{name} is no extractor: it has to be a subclass of {_BASE}.")
    return build()


@cache
def _load(name: str, device: str, compiled: bool) -> Extractor:
    extractor = build_extractor(name).to(device)
    return extractor.compile_vectors() if compiled else extractor
