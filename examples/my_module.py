"""An example method: directions in W that change different pixels of the image."""

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import nn

from baselines.base import Batch, Discoverer, MethodConfig, Stage, TrainingData


class MyConfig(MethodConfig):
    """Settings; `--set steps=50` changes one."""

    num_directions: PositiveInt = 12
    steps: PositiveInt = 200
    learning_rate: float = 0.02


class MyMethod(Discoverer):
    """Learns directions whose pixel changes are orthogonal to each other."""

    Config = MyConfig
    presets = {"smoke": {"steps": 2, "num_directions": 4}, "small": {"steps": 100}}

    def __init__(self, config: MyConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config, self.num_directions = config, config.num_directions
        self.vectors = nn.Parameter(torch.randn(config.num_directions, data.generator.w_dim))

    def stages(self, data: TrainingData):
        yield Separate(self, data.generator)

    def shift(self, ws, direction, step):
        vectors = F.normalize(self.vectors, dim=1)[direction].reshape(-1, 1, ws.shape[2])
        return ws + torch.as_tensor(step, device=ws.device).reshape(-1, 1, 1) * vectors


class Separate(Stage):
    """The one training stage; the suite owns the loop, the device, checkpoints and logs."""

    name = "separate"

    def __init__(self, method: MyMethod, generator) -> None:
        super().__init__()
        self.method, self.generator, self.steps = method, generator, method.config.steps
        adam = torch.optim.Adam(method.parameters(), lr=method.config.learning_rate)
        self.optimizers = {"vectors": adam}

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        count = self.method.num_directions
        z = batch.draws.normal("z", 1, self.generator.z_dim)
        ws = self.generator.mapping(z).expand(count, -1, -1)
        moved = self.method.shift(ws, torch.arange(count, device=ws.device), 2.0)
        images, origin = (self.generator.synthesis(w, noise_mode="const") for w in (moved, ws[:1]))
        change = F.normalize((images - origin).flatten(1), dim=1)  # (K, C * H * W)
        loss = (change @ change.T - torch.eye(count, device=ws.device)).square().mean()
        self.optimizers["vectors"].zero_grad()
        loss.backward()
        self.optimizers["vectors"].step()
        return {"overlap": loss}
