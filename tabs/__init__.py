"""The page: one module per tab. Layout, events and texts; all computation is in `genmodels`."""

TABS = [  # (title, module with build(opened) and prepare()), in the order of the page
    ("Autoencoder & VAE", "tabs.vae"),
    ("Flow", "tabs.flow"),
]
