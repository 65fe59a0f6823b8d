"""Metrics of what lies in files: images in folders, codes and factors, tables of labels.

Behind ``bench score``, for users who have a method's output and no method. The functions are those
that tracks call, and what comes out are the same ``Measurement``s that a run's result holds.
"""
