"""The page: one folder per tab. Layout, events and texts; all computation is in `genmodels`."""

from genmodels.messages import Message

TABS = [  # (title, module with build(first_visit), prepare() and ENDPOINTS), in the order of the page
    (Message("Compare"), "tabs.compare"),
    (Message("Autoencoder & VAE"), "tabs.vae"),
    (Message("GAN"), "tabs.gan"),
    (Message("Transformer"), "tabs.transformer"),
    (Message("Flow"), "tabs.flow"),
    (Message("Diffusion"), "tabs.diffusion"),
    (Message("Denoising"), "tabs.denoiser"),
    (Message("Playground"), "tabs.playground"),
]
