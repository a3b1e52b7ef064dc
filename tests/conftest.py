"""What must be set before gradio, huggingface_hub or torch is imported. The tests need no network."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")  # a container may show more cores than it lends
