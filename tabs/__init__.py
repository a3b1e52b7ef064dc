"""The page: one folder per tab. Layout, events and texts; all computation is in `genmodels`."""

TABS = [  # (title, module with build(first_visit), prepare() and ENDPOINTS), in the order of the page
    ("Autoencoder & VAE", "tabs.vae"),
    ("GAN", "tabs.gan"),
    ("Transformer", "tabs.transformer"),
    ("Flow", "tabs.flow"),
    ("Diffusion", "tabs.diffusion"),
    ("Denoising", "tabs.denoiser"),
]
