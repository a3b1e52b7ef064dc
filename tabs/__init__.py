"""The page: one module a tab. Wiring and words only; what is computed is in `genmodels`."""

TABS = [  # title, module with build(opened) and prepare(), in the order of the page
    ("Autoencoder & VAE", "tabs.vae"),
    ("GAN", "tabs.gan"),
    ("Transformer", "tabs.transformer"),
    ("Flow", "tabs.flow"),
    ("Diffusion", "tabs.diffusion"),
    ("Denoising", "tabs.denoiser"),
]
