"""How well a plain classifier tells synthetic from real by given features: 0.5 = not at all, 1 = always.

Does not say what gives the synthetic ones away, and a better classifier may find more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FOLDS = 5


@dataclass(frozen=True)
class Separable:
    """Area under the curve of the scores that each sample got from a classifier that had not seen its source."""

    auroc: float
    """Mean over the seeds."""
    deviation: float
    """Over the seeds, which deal the sources to the folds."""


def auroc(
    synthetic: np.ndarray, real: np.ndarray, sources: Sequence[str], seeds: Sequence[int] = (0, 1, 2, 3, 4)
) -> Separable:
    """Of features NxD and MxD; `sources` names each of the N + M, FOLDS different ones of either kind at least."""
    # seconds of import, which nobody should wait for who wants another measure
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values = np.concatenate([synthetic, real])
    labels = np.repeat([1, 0], [len(synthetic), len(real)])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    found = []
    for seed in seeds:
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        scores = cross_val_predict(
            classifier, values, labels, groups=list(sources), cv=folds, method="decision_function"
        )
        found.append(float(roc_auc_score(labels, scores)))
    return Separable(float(np.mean(found)), float(np.std(found)))
