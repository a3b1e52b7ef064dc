"""The judge: a small convolutional classifier whose features measure generated pictures and whose verdicts grade them.

Reference: Simonyan and Zisserman, Very deep convolutional networks (2014), at a hundredth of the size, with batch
normalisation (Ioffe and Szegedy 2015).
"""

import torch
import torch.nn.functional as F
from torch import nn

from genmodels.base import GenerativeModel, check_pictures


class Classifier(GenerativeModel):
    """Stages of two 3x3 convolutions, halved in between, then one dense layer of features and a linear head a question.

    Arguments:
        channels, size: of the pictures, which are (channels, size, size).
        classes: number of answers to each question: [10] for digits or clothes, one entry an attribute for the avatars.
        widths: channels of each stage.
        stem: stride of the first convolution (2 for 64x64 pictures).
        features: F, how many numbers describe a picture; FID and its kin are measured in them.
        dropout: share of features dropped in training.
    Shapes:
        x (B, C, H, W) in [0, 1]; labels (B,) or (B, questions), -1 where there is no answer.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        classes: list = [10],  # noqa: B006
        widths: list = [32, 64, 128],  # noqa: B006
        stem: int = 1,
        features: int = 128,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.channels, self.size, self.classes = channels, size, list(classes)
        layers, before, side = [], channels, size // stem
        for i, width in enumerate(widths):
            if i:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            for stride in (1 if i else stem, 1):
                layers += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                before = width
        self.body = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(before * side**2, features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, sum(classes))

    def features(self, x):
        """What the last hidden layer sees: (B, C, H, W) in [0, 1] -> (B, F)."""
        return self.body(2 * check_pictures("x", x, self.channels, self.size) - 1)

    def logits(self, x):
        """A tuple with (B, answers) for each question."""
        return self.head(self.features(x)).split(self.classes, dim=1)

    def predict(self, x):
        """The likeliest answer to each question: (B, questions)."""
        return torch.stack([scores.argmax(1) for scores in self.logits(x)], dim=1)

    def loss(self, batch):
        """batch: (x, y). Cross-entropy, mean over the questions, with `accuracy` beside it. y of -1 does not count."""
        x, y = batch
        y = y.view(len(x), -1)  # (B, questions)
        scores = self.head(self.dropout(self.body(2 * x - 1))).split(self.classes, dim=1)
        losses = [F.cross_entropy(s, t, ignore_index=-1) for s, t in zip(scores, y.T) if bool((t >= 0).any())]
        right = torch.stack([s.argmax(1) for s in scores], dim=1)[y >= 0] == y[y >= 0]
        return {"loss": torch.stack(losses).mean(), "accuracy": right.float().mean()}
