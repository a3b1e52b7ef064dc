"""A small convolutional classifier: its features and predictions measure generated pictures.

References:
    Simonyan and Zisserman, Very deep convolutional networks (2014), at a hundredth of the size,
        https://arxiv.org/abs/1409.1556
    Ioffe and Szegedy, Batch normalization (2015), https://arxiv.org/abs/1502.03167
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmodels.base import GenerativeModel, upcast


class Classifier(GenerativeModel):
    """Stages of two 3x3 convolutions with pooling in between, then a dense layer of features and one linear head per attribute.

    Arguments:
        channels, size: of the pictures, which are (channels, size, size).
        classes: number of values of each of the K attributes: [10] for digits or clothes, 16 entries for the avatars.
        widths: channels of each stage.
        stem: stride of the first convolution (2 for 64x64 pictures).
        features: F, dimension of the features; FID and related metrics are measured in them.
        dropout: probability of dropping a feature in training.
    Shapes:
        x (B, C, H, W) in [0, 1]; labels (B,) if K = 1, or (B, K), -1 where there is no label.
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
        layers: list[nn.Module] = []
        width_before = channels
        side = size // stem
        for i, width in enumerate(widths):
            if i:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            for stride in (1 if i else stem, 1):
                layers += [nn.Conv2d(width_before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                width_before = width
        self.body = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(width_before * side**2, features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, sum(classes))

    def features(self, x: Tensor) -> Tensor:
        """Activations of the last hidden layer: (B, C, H, W) in [0, 1] -> (B, F)."""
        return upcast(self._features(self.check_pictures("x", x)))

    def _features(self, x: Tensor) -> Tensor:
        return self.body((2 * x - 1).to(self.dtype))

    def logits(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits (B, values) of each of the K attributes."""
        return upcast(self.head(self.features(x).to(self.dtype))).split(self.classes, dim=1)

    def predict(self, x: Tensor) -> Tensor:
        """The most likely value of each attribute: (B, K)."""
        return torch.stack([logits.argmax(1) for logits in self.logits(x)], dim=1)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). Cross-entropy, mean over the attributes, and `accuracy`. Labels of -1 do not count."""
        x, y = self.on_device(batch)
        y = y.view(len(x), -1)  # (B, K)
        logits = upcast(self.head(self.dropout(self._features(x)))).split(self.classes, dim=1)
        losses = [F.cross_entropy(s, t, ignore_index=-1) for s, t in zip(logits, y.T) if bool((t >= 0).any())]
        correct = torch.stack([s.argmax(1) for s in logits], dim=1)[y >= 0] == y[y >= 0]
        return {"loss": torch.stack(losses).mean(), "accuracy": correct.float().mean()}


def describe(classifier: Classifier, names: dict[str, list[str]], x: Tensor) -> dict[str, tuple[str, float]]:
    """The prediction for one picture (1, C, H, W): attribute -> (its value, probability).

    names: attribute -> names of its values, in the order of the classifier's outputs; see `labels.all_conditions`.
    """
    predictions = {}
    for (attribute, values), logits in zip(names.items(), classifier.logits(x)):
        probability, index = logits.softmax(1)[0].max(0)
        predictions[attribute] = (values[int(index)], float(probability))
    return predictions
