"""Online probes: evaluate the features during pretraining, on training videos only.

Test videos are never used. A probe is tested on videos of other groups than those it is fitted to. If videos
are held out for validation, it is tested on those, so the networks have not seen them either. :class:`Probe`
gives curves, :class:`GroupProbe` selects the best epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Clip
from cocon.data.clips import ClipDataset
from cocon.data.network_input import to_network_input
from cocon.data.selection import Choosing, Selection, group_of, scattered
from cocon.datasets.manifest import Video
from cocon.losses.cocon import canonical_order
from cocon.losses.instances import instance_features
from cocon.measures.neighbours import NEAREST, Pairs, mean_products, nearest_share
from cocon.models.network import ViewNetwork
from cocon.shards import ShardSet
from cocon.training.devices import autocast
from cocon.training.log import GROUP_KNN, Row

_TEST_SHARE = 4
_RIDGE = 1.0


@dataclass(frozen=True)
class ProbeVideos:
    """Ids and class numbers of a probe's training and test videos, and all their groups."""

    train: dict[str, int]
    test: dict[str, int]
    groups: dict[str, str]


def choose_videos(videos: Sequence[Video], selection: Selection, count: int, seed: int) -> ProbeVideos | None:
    """At most ``count`` labelled training videos, one in four for the test, chosen by a hash of their names.

    Args:
        videos: the manifest.
        selection: what is trained on and what is held out.
        count: how many.
        seed: decides which.

    Returns:
        None when fewer than two classes or groups are left.
    """
    usable = {*selection.train, *selection.validation}
    labelled = [video for video in videos if video.id in usable and video.label]
    groups = scattered({group_of(video) for video in labelled}, f"probe {seed}")
    held_out = {group_of(video) for video in labelled if video.id in set(selection.validation)}
    testing = held_out or set(groups[: len(groups) // _TEST_SHARE or 1])
    classes = {label: number for number, label in enumerate(sorted({video.label for video in labelled}))}
    label_of = {video.id: classes[video.label] for video in labelled}
    ids = scattered(label_of, f"probe {seed}")
    group = {video.id: group_of(video) for video in labelled}
    test = [name for name in ids if group[name] in testing][: max(1, count // _TEST_SHARE)]
    train = [name for name in ids if group[name] not in testing][: count - len(test)]
    if len(classes) < 2 or not train or not test:
        return None
    learned, tested = ({name: label_of[name] for name in names} for names in (train, test))
    return ProbeVideos(learned, tested, {name: group[name] for name in (*train, *test)})


class Probe:
    """Encodes one clip of every video, its middle, and measures the features of each view.

    Uses no random numbers, so it does not affect the training.

    Args:
        videos: which.
        shards: the frames by view.
        clip: what a clip is.
        batch_size: clips at once.
    """

    def __init__(self, videos: ProbeVideos, shards: dict[str, ShardSet], clip: Clip, batch_size: int) -> None:
        labels = {**videos.train, **videos.test}
        self._features = MiddleClips(shards, list(labels), clip, batch_size)
        self._labels_N = torch.tensor(list(labels.values()))
        self._pairs = Pairs.of(list(labels.values()), [videos.groups[name] for name in labels])
        self._train = len(videos.train)

    def __call__(self, networks: Mapping[str, ViewNetwork], device: torch.device, amp: str) -> Row:
        """Measure the networks, which are put into evaluation mode.

        Returns:
            Per view ``linear/<view>`` and ``knn/<view>``, accuracies, and ``neighbours/<view>``, the mean
            share of videos of the same class among the 5 nearest ones of other groups. Its expectation in a
            random order is ``neighbours/chance``. These read the features that encoders are evaluated by.

            ``cosine_same/<view>`` and ``cosine_other/<view>``: mean cosine of two instances, the pooled
            blocks that the loss compares (:mod:`cocon.losses.instances`), of videos of one class and of
            different classes, in different groups. ``cosine_same/<view>-<view>`` and
            ``cosine_other/<view>-<view>``: the second instance is one of another view; these are negatives
            of L_sim and L_cmc. L_nce and L_coclr compare means of a clip's instances, scaled to length 1,
            so their cosines are larger in size. When all cosines of a view approach 1, its features have
            collapsed.

            Figures without a pair of videos are left out.
        """
        row: dict[str, float | None] = {}
        labels_N, train = self._labels_N, self._train
        means: dict[str, np.ndarray] = {}
        for view, (x_ND, h_ND) in self._features(networks, device, amp).items():
            arguments = x_ND[:train], labels_N[:train], x_ND[train:], labels_N[train:]
            row[f"linear/{view}"] = ridge_accuracy(*arguments)
            row[f"knn/{view}"] = knn_accuracy(*arguments)
            unit_ND = F.normalize(x_ND.double(), dim=1).numpy()
            row[f"neighbours/{view}"], row["neighbours/chance"], _ = nearest_share(unit_ND, self._pairs)
            means[view] = h_ND.double().numpy()
        for a, b in combinations_with_replacement(canonical_order(means), 2):
            name = a if a == b else f"{a}-{b}"
            same, other = mean_products(means[a], means[b], self._pairs)
            row[f"cosine_same/{name}"], row[f"cosine_other/{name}"] = same, other
        return {name: value for name, value in row.items() if value is not None}


class GroupProbe:
    """Encodes the middle clip of every video and classifies each by its neighbours in other groups.

    Uses no random numbers.

    Args:
        videos: all labelled; see :func:`cocon.data.selection.choosing_videos`.
        shards: the frames by view.
        clip: what a clip is.
        batch_size: clips at once.
    """

    def __init__(self, videos: Choosing, shards: dict[str, ShardSet], clip: Clip, batch_size: int) -> None:
        ids = list(videos.labels)
        self._features = MiddleClips(shards, ids, clip, batch_size)
        self._labels_N = torch.tensor(list(videos.labels.values()))
        self._groups_N = torch.tensor([videos.groups[name] for name in ids])
        places = {name: place for place, name in enumerate(ids)}
        self._queries_Q = torch.tensor([places[name] for name in videos.queries])

    def __call__(self, networks: Mapping[str, ViewNetwork], device: torch.device, amp: str) -> Row:
        """Measure the networks, which are put into evaluation mode.

        Returns:
            Accuracies: ``group_knn/<view>`` per view, and their mean ``group_knn/mean``.
        """
        arguments = self._labels_N, self._groups_N, self._queries_Q
        right = {
            view: group_knn(x_ND, *arguments)
            for view, (x_ND, _) in self._features(networks, device, amp).items()
        }
        count = len(self._queries_Q)
        row: Row = {f"{GROUP_KNN}/{view}": number / count for view, number in right.items()}
        return row | {f"{GROUP_KNN}/mean": sum(right.values()) / (count * len(right))}


class MiddleClips:
    """The middle clip of every video, and its features.

    Args:
        shards: the frames by view.
        video_ids: N videos.
        clip: what a clip is.
        batch_size: clips at once.
    """

    def __init__(
        self, shards: dict[str, ShardSet], video_ids: list[str], clip: Clip, batch_size: int
    ) -> None:
        self._clips = ClipDataset(shards, video_ids, clip, None)
        self._batch_size = batch_size

    @torch.no_grad()
    def __call__(
        self, networks: Mapping[str, ViewNetwork], device: torch.device, amp: str
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """By view, on the CPU: features averaged over blocks and locations (N, D), mean instance (N, D)."""
        parts: dict[str, list[tuple[Tensor, Tensor]]] = {view: [] for view in networks}
        for network in networks.values():
            network.eval()
        count = len(self._clips)
        for first in range(0, count, self._batch_size):
            clips = [self._clips[0, number] for number in range(first, min(count, first + self._batch_size))]
            for view, network in networks.items():
                x_u8_BTCHW = torch.stack([clip.views[view] for clip in clips]).to(device)
                with autocast(device, amp):
                    z_BNDSS = network.encode(to_network_input(x_u8_BTCHW, view, self._clips.clip))
                z_BNDSS = z_BNDSS.float()
                h_BND = instance_features(z_BNDSS).unflatten(0, z_BNDSS.shape[:2])
                parts[view].append((z_BNDSS.mean((1, 3, 4)).cpu(), h_BND.mean(1).cpu()))
        return {
            view: (torch.cat([x for x, _ in pairs]), torch.cat([h for _, h in pairs]))
            for view, pairs in parts.items()
        }


def ridge_accuracy(x_ND: Tensor, labels_N: Tensor, x_MD: Tensor, labels_M: Tensor) -> float:
    """Accuracy on M rows of a linear classifier fitted to N rows: ridge regression on one-hot labels.

    Each dimension is standardised on the N rows; the penalty is 1 per row and dimension.
    """
    std_D, mean_D = torch.std_mean(x_ND.double(), 0, correction=0)
    a_ND, b_MD = ((x.double() - mean_D) / (std_D + 1e-12) for x in (x_ND, x_MD))
    y_NC = F.one_hot(labels_N).double()
    gram = a_ND.t() @ a_ND + _RIDGE * len(a_ND) * torch.eye(a_ND.shape[1], dtype=torch.float64)
    weights_DC = torch.linalg.solve(gram, a_ND.t() @ (y_NC - y_NC.mean(0)))
    predicted_M = (b_MD @ weights_DC + y_NC.mean(0)).argmax(1)
    result: float = (predicted_M == labels_M).double().mean().item()
    return result


def knn_accuracy(x_ND: Tensor, labels_N: Tensor, x_MD: Tensor, labels_M: Tensor) -> float:
    """Accuracy on M rows of a vote of the 5 nearest of N rows by cosine, weighted by cosine plus one."""
    similarity_MN = F.normalize(x_MD, dim=1) @ F.normalize(x_ND, dim=1).t()
    return (_voted(similarity_MN, labels_N) == labels_M).double().mean().item()


def group_knn(x_ND: Tensor, labels_N: Tensor, groups_N: Tensor, queries_Q: Tensor) -> int:
    """Accuracy on Q rows of a vote of their 5 nearest rows of other groups; weights as above.

    Args:
        x_ND: features.
        labels_N: class numbers.
        groups_N: group numbers, at least two different ones.
        queries_Q: numbers of rows.
    """
    unit_ND = F.normalize(x_ND.double(), dim=1)
    similarity_QN = unit_ND[queries_Q] @ unit_ND.t()
    similarity_QN.masked_fill_(groups_N[queries_Q][:, None] == groups_N, -math.inf)
    return int((_voted(similarity_QN, labels_N) == labels_N[queries_Q]).sum())


def _voted(similarity_MN: Tensor, labels_N: Tensor) -> Tensor:
    """The class (M,) that wins the vote of the 5 most similar of N rows; similarity -inf excludes a row."""
    weight_MK, nearest_MK = similarity_MN.topk(min(NEAREST, len(labels_N)))
    votes_MC = similarity_MN.new_zeros(len(similarity_MN), int(labels_N.max()) + 1)
    votes_MC.scatter_add_(1, labels_N[nearest_MK], torch.where(weight_MK.isinf(), 0.0, weight_MK + 1))
    return votes_MC.argmax(1)
