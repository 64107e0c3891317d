"""Linear probe: logistic regression on frozen features."""

from __future__ import annotations

import logging
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cocon.config.schema import Linear
from cocon.evaluation.features import ARRAYS, Features
from cocon.evaluation.metrics import Task
from cocon.evaluation.scores import ClassScores
from cocon.evaluation.splits import Split

log = logging.getLogger(__name__)


def evaluate(task: Task, split: Split, features: Features, settings: Linear) -> ClassScores:
    """Fit logistic regression on the training videos; probabilities of the test videos.

    The input is the concatenation of mean and maximum of the encoder's features and the aggregator's
    state, each dimension standardised on the training videos.

    Raises:
        DatasetError: Too few videos or classes (see `Split.available`), or features that are not finite.
    """
    train, test = split.available(features.rows)
    x_train_ND, x_test_ND = (
        np.concatenate([features.select(name, ids) for name in ARRAYS], axis=1) for ids in (train, test)
    )
    classifier = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=settings.inverse_regularisation, max_iter=settings.max_iterations),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        classifier.fit(x_train_ND, [split.train[video] for video in train])
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        log.warning("logistic regression did not converge in %d iterations", settings.max_iterations)
    # A class without a training video keeps probability 0.
    probabilities_NC = np.zeros((len(test), len(split.classes)), np.float32)
    probabilities_NC[:, classifier.classes_] = classifier.predict_proba(x_test_ND)
    return ClassScores.of(task, split, test, probabilities_NC)
