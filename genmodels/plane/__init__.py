"""Generative models of points of the plane, one family a file, in the plain form of the textbooks.

>>> from genmodels import plane
>>> points = plane.toy_points("moons", 500)
>>> *_, last = plane.fit_steps(plane.PlaneVAE(), points, steps=20)
>>> last.model.sample(100, seed=0).shape
torch.Size([100, 2])
"""

from genmodels.plane.base import Diverged, Fit, PlaneModel, Training, fit_steps
from genmodels.plane.diffusion import PlaneDiffusion
from genmodels.plane.flow import PlaneCoupling, PlaneFlow
from genmodels.plane.flow_matching import PlaneFlowMatching
from genmodels.plane.gan import PlaneGAN
from genmodels.plane.points import TOY_SHAPES, energy_distance, modes, modes_covered, toy_points
from genmodels.plane.vae import PlaneVAE

FAMILIES: dict[str, type[PlaneModel]] = {
    "vae": PlaneVAE,
    "gan": PlaneGAN,
    "flow": PlaneFlow,
    "diffusion": PlaneDiffusion,
    "flow matching": PlaneFlowMatching,
}

__all__ = [
    "FAMILIES",
    "TOY_SHAPES",
    "Diverged",
    "Fit",
    "PlaneCoupling",
    "PlaneDiffusion",
    "PlaneFlow",
    "PlaneFlowMatching",
    "PlaneGAN",
    "PlaneModel",
    "PlaneVAE",
    "Training",
    "energy_distance",
    "fit_steps",
    "modes",
    "modes_covered",
    "toy_points",
]
