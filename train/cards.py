"""Model cards in the format of Hugging Face, and the table of models that the project's README makes of them.

A card keeps its numbers in the front matter's `model-index`, so it can be written again without measuring again.
"""

import json
import os
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

import genmodels as gm
from genmodels.base import checkpoint_folder

README = Path(__file__).resolve().parent.parent / "README.md"
TABLE_MARKERS = ("<!-- models:begin -->", "<!-- models:end -->")
PERCENT_METRICS = ("accuracy", "share", "moved", "cas", "cas_sd", "precision", "recall", "coverage", "below")

DATASETS = {
    "mnist": {
        "title": "MNIST",
        "hub": "ylecun/mnist",
        "licence": "CC BY-SA 3.0",
        "credit": "MNIST by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, derived from NIST's data",
    },
    "fashion": {
        "title": "Fashion-MNIST",
        "hub": "zalando-datasets/fashion_mnist",
        "licence": "MIT",
        "credit": "Fashion-MNIST by Han Xiao, Kashif Rasul and Roland Vollgraf, (c) 2017 Zalando SE",
    },
    "avatars": {
        "title": "Avatars",
        "hub": None,
        "licence": "free for personal and commercial use",
        "credit": "Cartoon faces of the design Avataaars by Pablo Stanley, drawn by this repository's `tools/avatars` "
        "with DiceBear 9.4.3 (MIT, (c) Florian Körner)",
    },
    "shakespeare": {
        "title": "tiny Shakespeare",
        "hub": "karpathy/tiny_shakespeare",
        "licence": "public domain",
        "credit": "Plays of William Shakespeare as one text of 1,115,394 characters, tiny Shakespeare, compiled by Andrej "
        "Karpathy (2015)",
        "validation_data": "the last twentieth of the first 90 % of the text, which was not trained on",
    },
    "tang": {
        "title": "regular verse of the Tang dynasty",
        "hub": None,
        "licence": "the poems are in the public domain, the collection MIT",
        "credit": "Poems of the Tang dynasty in simplified characters, from the collection chinese-poetry, (c) 2016 JackeyGao",
        "validation_data": "693 other poems, which were not trained on",
    },
    "photo": {
        "title": "BSDS500",
        "hub": None,
        "licence": "for non-commercial research and education",
        "credit": "400 photographs of the Berkeley segmentation dataset, BSDS500, by Arbelaez, Maire, Fowlkes and Malik "
        "(2011), and 68 others for the test, in the split of the denoising papers",
        "validation_data": "20 of the 400 training photographs, which were not trained on",
    },
}
VALIDATION_DATA = "validation pictures, cut from the training split"  # unless the dataset has its own sentence
LLAMA_REFERENCES = (
    "Vaswani et al., [Attention is all you need](https://arxiv.org/abs/1706.03762) (2017); Press and Wolf, "
    "[Using the output embedding](https://arxiv.org/abs/1608.05859) (2017); Zhang and Sennrich, "
    "[Root mean square layer normalization](https://arxiv.org/abs/1910.07467) (2019); Su et al., "
    "[RoFormer](https://arxiv.org/abs/2104.09864) (2021); Shazeer, "
    "[GLU variants improve transformer](https://arxiv.org/abs/2002.05202) (2020); Touvron et al., "
    "[LLaMA](https://arxiv.org/abs/2302.13971) (2023), whose architecture this is but for the table of embeddings that input "
    "and output share here; Jordan et al., [Muon](https://kellerjordan.github.io/posts/muon/) (2024), the optimizer of the "
    "matrices."
)
DENOISER_REFERENCES = (
    "Zhang, Zuo and Zhang, [FFDNet: toward a fast and flexible solution for CNN-based image denoising]"
    "(https://arxiv.org/abs/1710.04026) (2018); Zhang et al., [Plug-and-play image restoration with deep denoiser prior]"
    "(https://arxiv.org/abs/2008.13751) (2021); Mohan et al., [Robust and interpretable blind image denoising via bias-free "
    "convolutional neural networks](https://arxiv.org/abs/1906.05478) (2020); Jordan et al., "
    "[Muon](https://kellerjordan.github.io/posts/muon/) (2024), the optimizer."
)
OWN_FEATURES = (
    "FID is measured in the features of this repository's own classifier: compare it only with its floor and with numbers in "
    "the same features and of the same N."
)
FAMILY_TEXTS = {  # what the card says about each family; {slots} are filled in from the configuration and the dataset
    "autoencoder": {
        "task": "image-feature-extraction",
        "paper": "Hinton and Salakhutdinov 2006",
        "reference": "Hinton and Salakhutdinov, [Reducing the dimensionality of data with neural networks]"
        "(https://doi.org/10.1126/science.1127647) (2006).",
        "what": "A fully connected autoencoder: each picture is encoded as {latent} numbers and reconstructed from them.",
        "code": 'x = gm.data.samples("{dataset}")[:16].floats()\nreconstruction = model.decode(model.encode(x))',
        "use": "Seeing what a code of {latent} numbers retains, and the gaps between the codes; teaching; a baseline.",
        "limits": "It is not a generator: nothing determines where the codes lie, and a random code may decode to nothing "
        "meaningful. Every input comes back as something like {title}.",
    },
    "vae": {
        "task": "unconditional-image-generation",
        "paper": "Kingma and Welling 2013",
        "reference": "Kingma and Welling, [Auto-encoding variational Bayes](https://arxiv.org/abs/1312.6114) (2013); Rezende, "
        "Mohamed and Wierstra, [Stochastic backpropagation and approximate inference in deep generative models]"
        "(https://arxiv.org/abs/1401.4082) (2014).",
        "what": "A variational autoencoder with a code of {latent} numbers and a {likelihood} likelihood: it generates new "
        "pictures, and finds the code of a given picture.{training_note}",
        "code": "x = model.sample(16, seed=0)\nreconstruction = model.decode(model.encode(x).mean)",
        "use": "Generating, interpolating and comparing pictures by their codes; teaching; a baseline for likelihoods.",
        "limits": "`sample` and `decode` return the decoder's mean without pixel noise: blurred where the code leaves "
        "something open. " + OWN_FEATURES + " Every input comes back as something like {title}.",
    },
    "diffusion": {
        "task": "unconditional-image-generation",
        "paper": "Ho, Jain and Abbeel 2020",
        "reference": "Ho, Jain and Abbeel, [Denoising diffusion probabilistic models](https://arxiv.org/abs/2006.11239) "
        "(2020); Nichol and Dhariwal, [Improved denoising diffusion probabilistic models](https://arxiv.org/abs/2102.09672) "
        "(2021); Salimans and Ho, [Progressive distillation for fast sampling of diffusion models]"
        "(https://arxiv.org/abs/2202.00512) (2022); Ho and Salimans, "
        "[Classifier-free diffusion guidance](https://arxiv.org/abs/2207.12598) (2022); "
        "the samplers: "
        "[DDIM](https://arxiv.org/abs/2010.02502) (2021), [DPM-Solver++](https://arxiv.org/abs/2211.01095) (2022), "
        "[Heun](https://arxiv.org/abs/2206.00364) (2022).",
        "what": "A conditional diffusion model ({conditions}): a U-Net that predicts {predicts}, the cosine schedule, and four "
        "samplers.",
        "code": "x = model.sample(16, label={label}, seed=0)\n"
        "for step in model.sample_steps(4, label={label}, steps=16, seed=0):\n    step.x, step.x0, step.eps",
        "use": "Generating pictures of a class, turning rough drawings into pictures (SDEdit), inpainting; seeing every step; "
        "teaching.",
        "limits": OWN_FEATURES + " With guidance above 1, samples no longer follow the distribution of the condition's "
        "pictures. Every sample looks like {title}, whatever the condition.",
    },
    "gan": {
        "task": "unconditional-image-generation",
        "paper": "Goodfellow et al. 2014; Huang et al. 2024",
        "reference": "Goodfellow et al., [Generative adversarial networks](https://arxiv.org/abs/1406.2661) (2014); Mescheder, "
        "Geiger and Nowozin, [Which training methods for GANs do actually converge?](https://arxiv.org/abs/1801.04406) (2018); "
        "Jolicoeur-Martineau, [The relativistic discriminator](https://arxiv.org/abs/1807.00734) (2018); Huang et al., "
        "[The GAN is dead; long live the GAN! A modern GAN baseline](https://arxiv.org/abs/2501.05441) (2024); Karras, Laine "
        "and Aila, [A style-based generator architecture](https://arxiv.org/abs/1812.04948) (2019).",
        "what": "A conditional generative adversarial network ({conditions}): residual generator and discriminator, the "
        "relativistic objective with the gradient penalties R1 and R2 ({penalty}).",
        "code": "x = model.sample(16, label={label}, truncation=0.8, seed=0)\nmodel.score(x, {label})  # by the discriminator",
        "use": "Generating pictures of a class in one pass; interpolation and directions in latent space; seeing the "
        "discriminator's scores; teaching.",
        "limits": OWN_FEATURES
        + " The model has no likelihood, and a picture that it cannot generate has no code. Its discriminator "
        "knows only the faults of this generator: it is not a detector of generated pictures. Every sample looks "
        "like {title}, whatever the condition.",
    },
    "dcgan": {
        "task": "unconditional-image-generation",
        "paper": "Radford, Metz and Chintala 2015",
        "reference": "Radford, Metz and Chintala, [Unsupervised representation learning with deep convolutional generative "
        "adversarial networks](https://arxiv.org/abs/1511.06434) (2015); Mirza and Osindero, "
        "[Conditional generative adversarial nets](https://arxiv.org/abs/1411.1784) (2014).",
        "what": "The classic baseline: a conditional DCGAN ({conditions}) with the non-saturating loss.",
        "code": "x = model.sample(16, label={label}, seed=0)\nmodel.score(x, {label})",
        "use": "A baseline; teaching.",
        "limits": OWN_FEATURES + " Every sample looks like {title}, whatever the condition.",
    },
    "flow": {
        "task": "unconditional-image-generation",
        "paper": "Dinh, Sohl-Dickstein and Bengio 2017; Ho et al. 2019",
        "reference": "Dinh, Sohl-Dickstein and Bengio, [Density estimation using Real NVP](https://arxiv.org/abs/1605.08803) "
        "(2017); Ho et al., [Flow++: improving flow-based generative models](https://arxiv.org/abs/1902.00275) (2019); Müller "
        "et al., [Neural importance sampling](https://arxiv.org/abs/1808.03856) (2019); Reed et al., [Parallel multiscale "
        "autoregressive density estimation](https://arxiv.org/abs/1703.03664) (2017); Nalisnick et al., [Do deep generative "
        "models know what they don't know?](https://arxiv.org/abs/1810.09136) (2019).",
        "what": "A conditional multi-scale normalizing flow ({conditions}): couplings on squares of 2 x 2 pixels, from the "
        "finest lattice to a single pixel, each transforming pixels by the cumulative distribution function of {components} "
        "Gaussians that is linear within each of the 256 grey levels. Its networks read the grey levels of other pixels and "
        "never z: it is a discrete multi-scale autoregressive model, written as a flow.",
        "code": "x = model.sample(16, label={label}, temperature=0.9, seed=0)\n"
        "z = model.encode(x, seed=0)  # (16, 784); model.decode(z) is x again\n"
        "model.bits_per_dim(x)",
        "use": "Exact likelihoods of 8-bit pictures; encoding to noise and back without loss; seeing why a likelihood does not "
        "detect unusual pictures; teaching.",
        "limits": "A high likelihood does not mean that a picture resembles the training data: simpler pictures tend to get "
        "higher likelihoods, a blank picture a higher one than nearly all test pictures. Pixels that become noise in the same "
        "layer are sampled independently of each other, given the rest: edges in samples are rougher than a GAN's. "
        + OWN_FEATURES
        + " Every sample looks like {title}, whatever the condition.",
    },
    "transformer": {  # by dataset
        "shakespeare": {
            "task": "text-generation",
            "paper": "Vaswani et al. 2017; Touvron et al. 2023",
            "reference": LLAMA_REFERENCES,
            "what": "A decoder-only transformer that writes English plays character by character, with a context of "
            "{context} characters: rotary positions, gated feed-forward layers, tied input and output embeddings.",
            "code": 'print(model.generate("ROMEO:", max_new_tokens=300, temperature=0.8, seed=0))\n'
            'for token in model.generate_steps("ROMEO:", max_new_tokens=20, seed=0):\n'
            "    token.text, token.probability, token.alternatives\n"
            'model.score("To be, or not to be").log_probs',
            "use": "Seeing how a language model samples, one character at a time; teaching; a baseline on this text.",
            "limits": "It knows the letters, words and names of some plays and nothing of the world: its text looks like "
            "{title} and means nothing. It is not an assistant. It has learnt spelling and verse, but not how a scene "
            "develops. It may repeat lines of the training text.",
        },
        "tang": {
            "task": "text-generation",
            "paper": "Vaswani et al. 2017; Touvron et al. 2023",
            "reference": LLAMA_REFERENCES
            + " Chen and Goodman, [An empirical study of smoothing techniques for language modeling]"
            "(https://doi.org/10.1006/csla.1999.0128) (1999).",
            "what": "A decoder-only transformer that writes classical Chinese poems character by character, given form, title "
            "and author; the form is enforced by allowing only valid characters at each position.",
            "code": 'poem = "".join(token.text for token in model.poem_steps("七绝", title="春雨", seed=0))\n'
            'acrostic = "".join(token.text for token in model.poem_steps("五绝", heads="春夏秋冬", seed=0))\n'
            'model.score(poem, "七绝|春雨||").log_probs',
            "use": "Acrostics and variations on a title; seeing constrained decoding at work; teaching.",
            "limits": "It was trained on regular verse of one dynasty, with the images and the opinions of its authors. Rhyme "
            "and tones are learnt, but not enforced. A poem in the manner of an author is not by that author. It may "
            "repeat lines of the training poems. Characters that occur less than twice in the training poems are one unknown "
            "character to it.",
        },
        "mnist": {
            "task": "unconditional-image-generation",
            "paper": "Vaswani et al. 2017; Chen et al. 2020",
            "reference": LLAMA_REFERENCES
            + " Chen et al., [Generative pretraining from pixels](https://proceedings.mlr.press/v119/chen20s.html) (2020); van "
            "den Oord, Kalchbrenner and Kavukcuoglu, [Pixel recurrent neural networks](https://arxiv.org/abs/1601.06759) "
            "(2016).",
            "what": "A decoder-only transformer that generates 8-bit pictures of a given class pixel by pixel, in raster "
            "order, with an exact likelihood, given the class or, ten times as slowly, without it. Rotary positions encode row "
            "and column, and the embedding of each pixel includes the neighbours above it.",
            "code": "x = model.sample(4, label=3, seed=0)\nmodel.bits_per_dim(x, 3), model.bits_per_dim(x)\n"
            "for step in model.complete_steps(x[:1], rows=14, n=4, label=3, seed=0):\n    step.x, step.probability",
            "use": "A baseline for likelihoods; completing pictures; seeing the probability of each pixel; teaching.",
            "limits": "A picture takes 784 forward passes. Without a class, likelihoods are those of the mixture of all "
            "classes, each as likely, and samples draw a class first: compare them, not the likelihood given the class, with a "
            "model that is not given it. FID, precision and recall are of far fewer samples than on the other families' cards, "
            "which raises FID. " + OWN_FEATURES + " Every sample looks like {title}, whatever the condition.",
        },
    },
    "denoiser": {
        "task": "image-to-image",
        "paper": "Zhang, Zuo and Zhang 2018",
        "reference": DENOISER_REFERENCES,
        "what": "A convolutional network that removes noise of five kinds from pictures, blind or given the noise level: a "
        "residual U-Net on unshuffled pixels.",
        "code": 'x = gm.data.samples("{dataset}")[:16].floats()\n'
        'noisy = gm.denoiser.add_noise(x, "gaussian", 100 / 255, seed=0)\n'
        "model.restore(noisy), model.restore(noisy, sigma=100 / 255)",
        "use": "Seeing what a denoiser can infer and what it must guess, next to `dvae-{dataset}` of the same size; teaching.",
        "limits": "It was trained on {title} alone, corrupted by this repository's own noise. It minimizes the root of each "
        "picture's squared error: where the noise leaves something open, it shows the geometric median of the possible "
        "pictures, which lies between them and is blurred.",
        "photo": {
            "task": "image-to-image",
            "paper": "Zhang, Zuo and Zhang 2018; Mohan et al. 2020",
            "reference": DENOISER_REFERENCES + " The published PSNR in the table: [DnCNN](https://arxiv.org/abs/1608.03981) "
            "(Zhang et al. 2017) and FFDNet.",
            "what": "A convolutional network that removes noise from photographs of any size, in colour or grey, blind or "
            "given sigma: a residual U-Net without biases on unshuffled pixels.",
            "code": 'x = gm.data.photograph("chelsea")\n'
            'noisy = gm.denoiser.add_noise(x, "gaussian", 25 / 255, seed=0)\n'
            "model.restore(noisy), model.restore(noisy, sigma=25 / 255)",
            "use": "Denoising photographs; a short, measured baseline; teaching. The training photographs are licensed for "
            "non-commercial research and education: keep to that.",
            "limits": "It was trained on Gaussian noise up to sigma 56 of 255, independent in every pixel and not clipped. The "
            "noise in the JPEG of a phone is neither; how the model does there was not measured. It smooths what it takes "
            "for noise, fine texture too, and was not trained on salt-and-pepper noise or missing parts.",
        },
    },
    "dvae": {
        "task": "image-to-image",
        "paper": "Im et al. 2017",
        "reference": "Vincent et al., [Stacked denoising autoencoders](https://jmlr.org/papers/v11/vincent10a.html) (2010); "
        "Kingma and Welling, [Auto-encoding variational Bayes](https://arxiv.org/abs/1312.6114) (2013); Im et al., [Denoising "
        "criterion for variational auto-encoding framework](https://arxiv.org/abs/1511.06406) (2017).",
        "what": "A denoising VAE: the noisy picture is encoded as {latent} numbers, from which the clean picture is generated.",
        "code": 'x = gm.data.samples("{dataset}")[:16].floats()\n'
        'noisy = gm.denoiser.add_noise(x, "gaussian", 150 / 255, seed=0)\n'
        "model.restore(noisy), model.restore(noisy, seed=1)  # and another sample for the same noise",
        "use": "Seeing what a bottleneck of {latent} numbers keeps of a noisy picture, next to `denoiser-{dataset}` of the "
        "same size; teaching.",
        "limits": "Under heavy noise the result may be of another class than the original, and it is blurred: the mean of "
        "p(x | z). `denoiser-{dataset}` has the higher PSNR in every line of the table above. Even a clean picture does not "
        "come back unchanged. Every input comes back as something like {title}.",
    },
    "classifier": {
        "task": "image-classification",
        "paper": "Simonyan and Zisserman 2014",
        "reference": "Simonyan and Zisserman, [Very deep convolutional networks for large-scale image recognition]"
        "(https://arxiv.org/abs/1409.1556) (2014).",
        "what": "A small convolutional classifier, whose features and predictions measure the generators.",
        "code": 'x = gm.data.samples("{dataset}")[:16].floats()\nmodel.predict(x), model.features(x)',
        "use": "Features for FID, precision and recall; classifying generated pictures.",
        "limits": "It knows {title} and nothing else: any other picture is assigned one of the same labels, often with high "
        "confidence.",
    },
}
METRIC_NOTES = {  # metric type -> how it is measured
    "elbo": "ELBO: log p(x | z) minus the KL term, with one sample of z per picture; a lower bound on log p(x), below it by "
    "KL(q(z | x) || p(z | x)).",
    "nll": "Negative log-likelihood: the importance-weighted bound ([Burda et al. 2015](https://arxiv.org/abs/1509.00519)); "
    "what it gains over the ELBO is the least that the encoder's approximation costs. Pixels are binarised at random, white "
    "with the probability of their grey level, once for the whole measurement.",
    "psnr": "PSNR and SSIM: of decode(mean code) against the picture, which is in grey or in colour.",
    "fid": "FID: Frechet distance ([Heusel et al. 2017](https://arxiv.org/abs/1706.08500)) of Gaussians fitted to the features "
    "of both sets, float64; lower is better, and one number for quality and variety together. The features are those of this "
    "repository's own classifier, not Inception's. It is biased upwards, the more the fewer pictures ([Chong and Forsyth "
    "2020](https://arxiv.org/abs/1911.07023)): compare only the same N. Its floor is that of real pictures against real ones.",
    "fid_then": "The DCGAN's numbers are those of its best weights on the validation split. The last line compares the two "
    "trainings after the same time on one busy core.",
    "precision": "Precision and recall ([Kynkaanniemi et al. 2019](https://arxiv.org/abs/1904.06991)) take the two apart: the "
    "share of generated pictures that lie near a real one (quality), and of real ones that lie near a generated one (variety). "
    "Near means within the distance of a picture's k-th neighbour in its own set, so that outliers reach far; density and "
    "coverage ([Naeem et al. 2020](https://arxiv.org/abs/2002.09797)) are more robust: within how many real pictures' radii a "
    "generated one lies, divided by k, and the share of real pictures with a generated one in their radius.",
    "cas": "CAS, the classification accuracy score ([Ravuri and Vinyals 2019](https://arxiv.org/abs/1905.10887)): a classifier "
    "trained on generated pictures alone classifies real ones; what the generator gets wrong or leaves out costs accuracy. "
    "`genmodels.metrics.cas`, {per_class} pictures per class, five epochs, no augmentation.",
    "nats": "In blocks of 256 characters, each read without what precedes it, as usual for this text; natural logarithm.",
    "auroc": "AUROC: how often the picture of the other kind has the more unusual value of the two, one of each kind chosen at "
    "random; 0.5 is chance, below it the other kind looks more typical. The typicality of a picture is "
    "the Mahalanobis distance of the square roots of its layers' costs, -log p of each, from those of the first 2,000 pictures "
    "of the validation split. The AUROC of the total likelihood stands next to it.",
    "below": "Perplexity: exp(-log p / number of characters), over the characters of the bodies; punctuation and the end of a "
    "poem are neither scored nor counted. Characters that occur less than twice in the training poems are one unknown "
    "character to both models. The 5-gram, `train.ngram`, is given the form, but no title and no author, and was fitted to the "
    "same bodies; its probabilities are divided by their sum over the characters that are scored, because a tenth of them "
    "goes to punctuation. Where punctuation stands follows from the form.",
    "restored_psnr": "PSNR: peak 1, mean over the pictures, each restored picture clipped to [0, 1]; SSIM: "
    "[Wang et al. 2004](https://doi.org/10.1109/TIP.2003.819861). "
    "The noise is that of `genmodels.denoiser.add_noise`, Gaussian noise not clipped.",
    "moved": "Editing attributes of a face ([Larsen et al. 2016](https://arxiv.org/abs/1512.09300)): the classifier reads the "
    "decoded picture before and after. "
    "Attributes that change by definition (`genmodels.metrics.LINKED_ATTRIBUTES`) or are hidden are not counted.",
}
CARD_TEMPLATE = """# {name}

{what} {parameters:,} parameters, trained on {title} by this repository.

{samples}

```python
import genmodels as gm

model = gm.load("{name}")
{code}
```

## Evaluation

Measured by `{command}`.

{numbers}

## Training

{minutes:g} minutes in total.{tokens} Exponential moving average of the weights, {selection}; the curves are in `log.jsonl`.

{runs}

Configuration: {config}.

## Intended use

{use}

## Limits

{limits} The test split was used only for the numbers above: all choices were made on {validation_data}.

## Data and licence

{credit}; {licence}. The weights are under the Apache License 2.0, like the code.

## Reference

{reference}
"""


def family_and_dataset(name):
    """("vae", "mnist") for "vae-mnist-2d"; a ValueError for a name of another form."""
    family, dataset = (name.split("-") + [""])[:2]
    if family not in FAMILY_TEXTS or dataset not in DATASETS:
        raise ValueError(
            f"A checkpoint is named <family>-<dataset>[-variant], with one of the families {', '.join(FAMILY_TEXTS)} and one "
            f"of the datasets {', '.join(DATASETS)}; '{name}' is not."
        )
    return family, dataset


def family_text(family, dataset):
    """The texts about a family, or about its model of this dataset where that has its own."""
    return FAMILY_TEXTS[family].get(dataset, FAMILY_TEXTS[family])


def format_value(result):
    """A number as people read it."""
    value = result.metric_value
    if result.metric_type in PERCENT_METRICS:
        return f"{value:.2%}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def write_card(folder, results, command, headline):
    """Write a checkpoint's README.md from its numbers, its configuration and its log.

    results: list of `huggingface_hub.EvalResult`; command: the command line that measured them; headline: for the table of
    models.
    """
    family, dataset = family_and_dataset(folder.name)
    model, runs, text = gm.load(folder), training_runs(folder), family_text(family, dataset)
    facts = {
        "command": command,
        "headline": headline,
        "paper": text["paper"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "minutes": round(sum(run.get("minutes") or 0 for run in runs), 1),
    }
    front_matter = ModelCardData(
        license="apache-2.0",
        library_name="genmodels",
        pipeline_tag=text["task"],
        tags=[family, "pytorch"],
        datasets=[DATASETS[dataset]["hub"]] if DATASETS[dataset]["hub"] else None,
        model_name=folder.name,
        eval_results=results,
        genmodels=facts,
    )
    config = model.config
    slots = {
        "name": folder.name,
        "dataset": dataset,
        "validation_data": VALIDATION_DATA,
        **facts,
        **DATASETS[dataset],
        **config,
        "training_note": "",
        "tokens": "",
        "selection": "the best on the validation split",
        "samples": "![samples](samples.png)",
    }
    if family == "transformer":
        tokens = sum(run["steps"] * run["batch"] for run in runs) * model.context
        slots["tokens"] = f" {tokens:,} training tokens: steps times batch size times {model.context}."
        if "--whole" in runs[-1]["command"].split():
            slots["selection"] = (
                "the last one: this run trained on the validation split too (`--whole`), as published runs do, and "
                "nothing was selected in it"
            )
            slots["validation_data"] = "the last twentieth of the first 90 % of the text, in earlier runs not trained on it"
        if "alphabet" in config:
            config |= {"alphabet": f"{len(config['alphabet'])} characters"}
    sample_text = folder / "samples.txt"
    if sample_text.is_file():
        slots["samples"] = f"```text\n{sample_text.read_text(encoding='utf-8').strip()}\n```"
    if getattr(model, "values", None):
        slots["training_note"] = (
            " Training also pulled the code towards a sum of one vector for each value of the labels, "
            "so that an attribute is edited by a difference of vectors."
        )
    if reconstruction_weight := config.get("reconstruction_weight"):  # of a GAN
        slots["training_note"] = (
            " Its generator has a second task, that of a VAE: an encoder gives each training picture a code, from which the "
            "generator reconstructs it (Larsen et al., [Autoencoding beyond pixels](https://arxiv.org/abs/1512.09300), 2016), "
            "with a weight of "
            f"{reconstruction_weight:g}."
        )
    if "gamma" in config:
        gamma = config["gamma"]
        slots["penalty"] = (
            f"gamma {gamma:g}, falling towards {gamma / 10:g} during training" if gamma else "switched off: gamma 0"
        )
    if hasattr(model, "conditions"):
        slots["conditions"] = ", ".join(model.conditions)
        slots["label"] = 3 if len(model.classes) == 1 else [1] * len(model.classes)
    numbers = [
        (
            r.metric_name,
            format_value(r),
            r.dataset_split,
            f"{r.metric_args['N']:,}",
            r.metric_args.get("seed", ""),
            r.metric_args.get("beside", ""),
        )
        for r in results
    ]
    columns = ("command", "pictures", "batch", "steps", "seed", "minutes", "device", "date")
    cells = [[f"`{run.get(k)}`" if k == "command" else run.get(k, "") for k in columns] for run in runs]
    metrics = {r.metric_type for r in results}
    per_class = next((r.metric_args["N"] // 10 for r in results if r.metric_type == "cas"), 2000)
    used = [note.replace("{per_class}", f"{per_class:,}") for metric, note in METRIC_NOTES.items() if metric in metrics]
    notes = "\n".join(f"- {note}" for note in used)
    notes += calls_table(folder / "calls.json") + methods_table(folder / "table.json")
    augmentation = folder / "augmentation.json"  # of train.augmentation
    if augmentation.is_file():
        notes += "\n\nTraining data from a VAE: " + json.loads(augmentation.read_text(encoding="utf-8"))["text"]
    page = CARD_TEMPLATE.format(
        **slots,
        **{k: text[k].format(**slots) for k in ("what", "code", "use", "limits", "reference")},
        numbers=markdown_table(("", "value", "split", "N", "seed", "for comparison"), numbers) + f"\n\n{notes}".rstrip(),
        runs=markdown_table(["passages" if k == "pictures" and sample_text.is_file() else k for k in columns], cells),
        config=", ".join(f"`{k}={v}`" for k, v in config.items()),
    )
    write_text(folder / "README.md", f"---\n{front_matter.to_yaml()}\n---\n\n{page}")


def calls_table(file):
    """FID against function evaluations, from a checkpoint's `calls.json`; "" if there is none."""
    if not file.is_file():
        return ""
    table = json.loads(file.read_text(encoding="utf-8"))
    rows = [(r["sampler"], r["calls"], r["steps"], r["fid"]) for r in table["rows"]]
    return (
        f"\n\nFID against function evaluations (NFE): {table['n']:,} pictures each, to the {table['split']} split, seed "
        f"{table['seed']}; the same number of training pictures: {table['floor']['fid']:.4g}.\n\n"
        + markdown_table(("sampler", "NFE", "steps", "FID"), rows)
    )


def methods_table(file):
    """All denoising methods side by side, from a denoiser's `table.json`; "" if there is none."""
    if not file.is_file():
        return ""
    table = json.loads(file.read_text(encoding="utf-8"))
    return f"\n\n{table['text']}\n\n{markdown_table(table['columns'], table['rows'])}"


def markdown_table(columns, rows):
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (columns, ["---"] * len(columns), *rows))


def training_runs(folder):
    """What the log of a checkpoint records about each of its training runs, first to last: the "run" lines."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines() if line.strip()]
    return [line["run"] for line in lines if "run" in line]


def read_card(folder):
    """(numbers, facts) of a checkpoint's card. Raises ValueError if there is none."""
    try:
        card = ModelCard.load(folder / "README.md").data
        return card.eval_results, card.genmodels
    except (OSError, AttributeError, ValueError) as e:
        raise ValueError(f"{folder / 'README.md'} holds no numbers: run python -m train.evaluate {folder.name}") from e


def rewrite_card(folder):
    """Write a card again from its own numbers, after its texts or its log have changed."""
    results, facts = read_card(folder)
    write_card(folder, results, facts["command"], facts["headline"])


def models_table():
    """The table of models, from the cards of all checkpoints."""
    families = list(gm.FAMILIES)
    rows = []
    for name in sorted(gm.checkpoints(), key=lambda name: (families.index(family_and_dataset(name)[0]), name)):
        _, facts = read_card(checkpoint_folder(name))
        rows.append(
            (
                f"[`{name}`](checkpoints/{name}/README.md)",
                facts["paper"],
                f"{facts['parameters'] / 1e6:.2f} M",
                f"{facts['minutes']:g}",
                facts["headline"],
            )
        )
    return markdown_table(("checkpoint", "paper", "parameters", "minutes", "on the test split"), rows)


def insert_table(readme, table):
    """Replace what stands between the two TABLE_MARKERS of a README by the table."""
    text = readme.read_text(encoding="utf-8")
    begin, end = map(text.find, TABLE_MARKERS)
    if begin < 0 or end < begin:
        raise ValueError(f"{readme} must contain the lines {' and '.join(TABLE_MARKERS)}: the table goes between them.")
    write_text(readme, f"{text[:begin]}{TABLE_MARKERS[0]}\n{table}\n{text[end:]}")


def write_text(file, text):
    """Write a text file atomically: it holds the new text or, after a failure, the old one."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, file)
