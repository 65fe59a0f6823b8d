"""What distances and scores are called, so that a name says what was measured.

The literature's FID, KID and inception score are defined on the original Inception network with
TensorFlow 1's resizer. The same formulas on other features are other metrics.
"""

from __future__ import annotations

_ORIGINAL = "inception-v3-tf"
_ORIGINAL_NAMES = {"fd": "fid", "kd": "kid", "is": "is"}


def metric_name(kind: str, extractor: str) -> str:
    """The name of a metric on the features of an extractor.

    Args:
        kind: ``"fd"`` (Fréchet distance), ``"kd"`` (kernel distance), ``"is"`` (inception score)
            or another metric of features, such as ``"precision"``.
        extractor: The catalog name.

    Returns:
        ``fid``, ``kid`` or ``is`` for the original network, else ``<kind>:<extractor>``.
    """
    if extractor == _ORIGINAL and kind in _ORIGINAL_NAMES:
        return _ORIGINAL_NAMES[kind]
    return f"{kind}:{extractor}"
