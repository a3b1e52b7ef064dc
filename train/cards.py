"""Model cards, in the form of Hugging Face's, and the table of models that the project's README makes of them.

A card keeps its numbers in the front matter's `model-index`, so it can be written again without measuring again.
"""

import json
import os
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

import genmodels as gm
from genmodels.base import checkpoint_folder

README = Path(__file__).resolve().parent.parent / "README.md"
MARKS = ("<!-- models:begin -->", "<!-- models:end -->")
PERCENT = ("accuracy", "share", "moved", "cas", "cas_sd", "precision", "recall", "coverage", "below")  # kinds shown in percent

SETS = {
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
        "credit": "Plays of William Shakespeare as one text of 1,115,394 characters, tiny Shakespeare, put together by Andrej "
        "Karpathy (2015)",
        "chosen": "the last twentieth of the first 90 % of the text, which was not trained on",
    },
    "tang": {
        "title": "regular verse of the Tang",
        "hub": None,
        "licence": "the poems are in the public domain, the collection MIT",
        "credit": "Poems of the Tang dynasty in simplified characters, from the collection chinese-poetry, (c) 2016 JackeyGao",
        "chosen": "693 other poems, which were not trained on",
    },
    "photo": {
        "title": "BSDS500",
        "hub": None,
        "licence": "for non-commercial research and education",
        "credit": "400 photographs of the Berkeley segmentation dataset, BSDS500, by Arbelaez, Maire, Fowlkes and Malik "
        "(2011), and 68 others for the test, in the split of the denoising papers",
        "chosen": "20 of the 400 training photographs, which were not trained on",
    },
}
CHOSEN = "validation pictures, cut from the training split"  # on what choices were made, where a set says nothing else
LLAMA = (
    "Vaswani et al., Attention is all you need (2017); Su et al., RoFormer (2021); Shazeer, GLU variants improve transformer "
    "(2020); Touvron et al., LLaMA (2023), whose layout this is; Jordan et al., Muon (2024), which trained the matrices."
)
DENOISERS = (
    "Zhang, Zuo and Zhang, FFDNet: toward a fast and flexible solution for CNN-based image denoising (2018); Zhang et al., "
    "Plug-and-play image restoration with deep denoiser prior (2021); Mohan et al., Robust and interpretable blind image "
    "denoising via bias-free convolutional neural networks (2020); Jordan et al., Muon (2024), which trained it."
)
ABOUT = {  # what to say about each family; {names} are filled in from the configuration and the set
    "autoencoder": {
        "task": "image-feature-extraction",
        "paper": "Hinton and Salakhutdinov 2006",
        "reference": "Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks (2006).",
        "what": "A fully connected autoencoder: each picture becomes {latent} numbers and is drawn again from them.",
        "code": 'x = gm.data.samples("{dataset}")[:16].floats()\nagain = model.decode(model.encode(x))',
        "use": "Seeing what a code of {latent} numbers keeps, and the holes between the codes; teaching; a baseline.",
        "limits": "It is no generator: nothing says where codes lie, and a random one may decode to nothing. "
        "Whatever it is given comes back as something like {title}.",
    },
    "vae": {
        "task": "unconditional-image-generation",
        "paper": "Kingma and Welling 2013",
        "reference": "Kingma and Welling, Auto-encoding variational Bayes (2013); Rezende, Mohamed and Wierstra, "
        "Stochastic backpropagation and approximate inference in deep generative models (2014).",
        "what": "A variational autoencoder with a code of {latent} numbers and a {likelihood} likelihood: it draws new "
        "pictures, and finds the code of a given one.{labels}",
        "code": "x = model.sample(16, seed=0)\nagain = model.decode(model.encode(x).mean)",
        "use": "Drawing, interpolating and comparing pictures by their codes; teaching; a baseline for likelihoods.",
        "limits": "`sample` and `decode` give the decoder's mean without pixel noise: blurred where the code leaves "
        "something open. FID is measured in the features of this repository's own classifier: compare it "
        "with its floor and with numbers of the same judge, with nothing else. Whatever it is given comes "
        "back as something like {title}.",
    },
    "diffusion": {
        "task": "unconditional-image-generation",
        "paper": "Ho, Jain and Abbeel 2020",
        "reference": "Ho, Jain and Abbeel, Denoising diffusion probabilistic models (2020); Nichol and Dhariwal, Improved "
        "denoising diffusion probabilistic models (2021); Salimans and Ho, Progressive distillation for fast "
        "sampling of diffusion models (2022); Ho and Salimans, Classifier-free diffusion guidance (2022).",
        "what": "A diffusion model that draws pictures of a requested kind ({conditions}): a U-Net that predicts {predicts}, "
        "the cosine schedule, and four samplers.",
        "code": "x = model.sample(16, label={label}, seed=0)\n"
        "for step in model.sample_steps(4, label={label}, steps=16, seed=0):\n    step.x, step.x0, step.eps",
        "use": "Drawing pictures of a class, finishing drawings, filling holes; seeing every step; teaching.",
        "limits": "FID is measured in the features of this repository's own classifier: compare it with its floor and "
        "with numbers of the same judge, with nothing else. Published CAS of differentially private diffusion "
        "models (98.1 % on MNIST, 86.2 % on Fashion-MNIST) are those of a handicapped rival: a floor. Whatever "
        "is asked for comes as something like {title}.",
    },
    "gan": {
        "task": "unconditional-image-generation",
        "paper": "Goodfellow et al. 2014; Huang et al. 2024",
        "reference": "Goodfellow et al., Generative adversarial networks (2014); Mescheder, Geiger and Nowozin, Which "
        "training methods for GANs do actually converge? (2018); Huang et al., The GAN is dead; long live the "
        "GAN! A modern GAN baseline (2024); Karras et al., A style-based generator architecture (2019).",
        "what": "A generative adversarial network that draws pictures of a requested kind ({conditions}): residual generator "
        "and discriminator, the relativistic objective with the gradient penalties R1 and R2 (gamma {gamma:g}).",
        "code": "x = model.sample(16, label={label}, truncation=0.8, seed=0)\n"
        "model.score(x, {label})                       # the discriminator's opinion",
        "use": "Drawing pictures of a class in one pass; walks and directions in the space of codes; seeing what a "
        "discriminator thinks; teaching.",
        "limits": "FID is measured in the features of this repository's own classifier: compare it with its floor and "
        "with numbers of the same judge, with nothing else. It has no likelihood, and a picture that it cannot "
        "paint has no code. Its discriminator knows this generator's faults only: it is no detector of generated "
        "pictures. Whatever is asked for comes as something like {title}.",
    },
    "dcgan": {
        "task": "unconditional-image-generation",
        "paper": "Radford, Metz and Chintala 2015",
        "reference": "Radford, Metz and Chintala, Unsupervised representation learning with deep convolutional generative "
        "adversarial networks (2015); Mirza and Osindero, Conditional generative adversarial nets (2014).",
        "what": "The classic to compare with: a conditional DCGAN ({conditions}) on the non-saturating loss.",
        "code": "x = model.sample(16, label={label}, seed=0)\nmodel.score(x, {label})",
        "use": "A baseline; teaching.",
        "limits": "FID is measured in the features of this repository's own classifier: compare it with its floor and "
        "with numbers of the same judge, with nothing else. Whatever is asked for comes as something like {title}.",
    },
    "flow": {
        "task": "unconditional-image-generation",
        "paper": "Dinh, Sohl-Dickstein and Bengio 2017; Ho et al. 2019",
        "reference": "Dinh, Sohl-Dickstein and Bengio, Density estimation using Real NVP (2017); Ho et al., Flow++: improving "
        "flow-based generative models (2019); Müller et al., Neural importance sampling (2019); Reed et al., "
        "Parallel multiscale autoregressive density estimation (2017); Nalisnick et al., Do deep generative "
        "models know what they don't know? (2019).",
        "what": "A multi-scale normalizing flow that can be told what to draw ({conditions}): couplings on squares of 2 x 2 "
        "pixels, from the finest lattice to a single pixel, each bending pixels by the distribution function of "
        "{components} Gaussians that is linear within each of the 256 grey levels.",
        "code": "x = model.sample(16, label={label}, temperature=0.9, seed=0)\n"
        "z = model.encode(x, seed=0)                   # (16, 784); model.decode(z) is x again\n"
        "model.bits_per_dim(x)",
        "use": "Exact likelihoods of 8-bit pictures; noise and back without a loss; seeing why a likelihood is no judge of "
        "what is strange; teaching.",
        "limits": "A high likelihood does not mean a picture like those of the training: simpler pictures get higher ones, a "
        "blank the highest. Pixels that become noise in one layer are drawn independently of each other, given the "
        "rest: edges of drawn pictures are rougher than a GAN's. FID is measured in the features of this "
        "repository's own classifier: compare it with its floor and with numbers of the same judge, with nothing "
        "else. Whatever is asked for comes as something like {title}.",
    },
    "transformer": {  # of each set
        "shakespeare": {
            "task": "text-generation",
            "paper": "Vaswani et al. 2017; Touvron et al. 2023",
            "reference": LLAMA,
            "what": "A decoder-only transformer that writes English plays character by character, at most {context} of them in "
            "view: rotary positions, gated layers, one table at both ends.",
            "code": 'print(model.generate("ROMEO:", max_new_tokens=300, temperature=0.8, seed=0))\n'
            'for token in model.generate_steps("ROMEO:", max_new_tokens=20, seed=0):\n'
            "    token.text, token.probability, token.alternatives\n"
            'model.score("To be, or not to be").log_probs',
            "use": "Seeing how a language model chooses, one character at a time; teaching; a baseline on this text.",
            "limits": "It knows the letters, words and names of some plays and nothing of the world: what it writes looks like "
            "{title} and means nothing. It is no assistant. Spelling and verse are its horizon, a scene is not. "
            "It may repeat lines of the training text.",
        },
        "tang": {
            "task": "text-generation",
            "paper": "Vaswani et al. 2017; Touvron et al. 2023",
            "reference": LLAMA + " Chen and Goodman, An empirical study of smoothing techniques for language modeling (1999).",
            "what": "A decoder-only transformer that writes classical Chinese poems character by character, told form, title "
            "and author beforehand; the form is held by allowing only what may stand at each place.",
            "code": 'poem = "".join(token.text for token in model.poem_steps("七绝", title="春雨", seed=0))\n'
            'acrostic = "".join(token.text for token in model.poem_steps("五绝", heads="春夏秋冬", seed=0))\n'
            'model.score(poem, "七绝|春雨||").log_probs',
            "use": "Acrostics and variations on a title; seeing constrained decoding at work; teaching.",
            "limits": "It has read regular verse of one dynasty, with the images and the opinions of its authors. Rhyme and "
            "tones are not enforced, only learnt. A poem in the manner of an author is not by that author. It may "
            "repeat lines of the training poems. Characters that it met less than twice are one unknown character "
            "to it.",
        },
        "mnist": {
            "task": "unconditional-image-generation",
            "paper": "Vaswani et al. 2017; Chen et al. 2020",
            "reference": LLAMA + " Chen et al., Generative pretraining from pixels (2020); van den Oord et al., Pixel "
            "recurrent neural networks (2016).",
            "what": "A decoder-only transformer that writes 8-bit pictures of a requested class pixel by pixel, in raster "
            "order, with an exact likelihood. Positions turn with row and column, and each pixel also reads in its "
            "neighbours above.",
            "code": "x = model.sample(4, label=3, seed=0)\nmodel.bits_per_dim(x, 3)\n"
            "for step in model.complete_steps(x[:1], rows=14, n=4, label=3, seed=0):\n    step.x, step.probability",
            "use": "Likelihoods to compare with; finishing pictures; seeing the probability of each pixel; teaching.",
            "limits": "A picture takes 784 calls of the network. FID is measured in the features of this repository's own "
            "classifier: compare it with its floor and with numbers of the same judge, with nothing else. Whatever "
            "is asked for comes as something like {title}.",
        },
    },
    "denoiser": {
        "task": "image-to-image",
        "paper": "Zhang, Zuo and Zhang 2018",
        "reference": DENOISERS,
        "what": "A convolutional network that takes noise of five kinds off pictures, with or without being told how strong it "
        "is: a residual U-Net on unshuffled pixels.",
        "code": 'x = gm.data.samples("{dataset}")[:16].floats()\n'
        'noisy = gm.denoiser.add_noise(x, "gaussian", 100 / 255, seed=0)\n'
        "model.restore(noisy), model.restore(noisy, sigma=100 / 255)",
        "use": "Seeing what a denoiser can know and what it must guess, beside `dvae-{dataset}` of the same size; teaching.",
        "limits": "It was trained on {title} alone, spoilt by this repository's own noises. It aims at the least squared "
        "error: where the noise leaves something open, it shows the mean of what is possible, which is blurred.",
        "photo": {
            "task": "image-to-image",
            "paper": "Zhang, Zuo and Zhang 2018; Mohan et al. 2020",
            "reference": DENOISERS,
            "what": "A convolutional network that takes noise off photographs of any size, in colour or grey, with or without "
            "being told how strong it is: a residual U-Net without biases on unshuffled pixels.",
            "code": 'x = gm.data.photograph("chelsea")\n'
            'noisy = gm.denoiser.add_noise(x, "gaussian", 25 / 255, seed=0)\n'
            "model.restore(noisy), model.restore(noisy, sigma=25 / 255)",
            "use": "Taking noise off photographs; a short, measured baseline; teaching. The photographs that it was trained on "
            "are licensed for non-commercial research and education: keep to that.",
            "limits": "It was trained on Gaussian noise up to sigma 56 of 255, independent in every pixel and not clipped. The "
            "noise of a telephone's JPEG is neither; how it does there was not measured. It smooths what it takes "
            "for noise, fine texture too, and knows nothing of salt-and-pepper or missing parts.",
        },
    },
    "dvae": {
        "task": "image-to-image",
        "paper": "Im et al. 2017",
        "reference": "Vincent et al., Stacked denoising autoencoders (2010); Kingma and Welling, Auto-encoding variational "
        "Bayes (2013); Im et al., Denoising criterion for variational auto-encoding framework (2017).",
        "what": "A denoising VAE: the noisy picture becomes a code of {latent} numbers, the clean one is drawn from it.",
        "code": 'x = gm.data.samples("{dataset}")[:16].floats()\n'
        'noisy = gm.denoiser.add_noise(x, "gaussian", 150 / 255, seed=0)\n'
        "model.restore(noisy), model.restore(noisy, seed=1)  # and another reading of the same noise",
        "use": "Seeing a bottleneck fill in what noise has taken, beside `denoiser-{dataset}` of the same size; teaching.",
        "limits": "It hallucinates: out of heavy noise comes a plausible picture, which may be of another class than the one "
        "that went in. Even a clean picture does not come back as it was. Whatever it is given comes back as "
        "something like {title}.",
    },
    "classifier": {
        "task": "image-classification",
        "paper": "Simonyan and Zisserman 2014",
        "reference": "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition (2014).",
        "what": "A small convolutional classifier: the judge whose features and verdicts measure the generators.",
        "code": 'x = gm.data.samples("{dataset}")[:16].floats()\nmodel.predict(x), model.features(x)',
        "use": "Features for FID, precision and recall; grading generated pictures.",
        "limits": "It knows {title} and nothing else: any other picture gets one of the same answers, often surely.",
    },
}
NOTES = {  # kind of number -> how it is measured
    "elbo": "ELBO: log p(x | z) less the KL term, one draw of z a picture; a lower bound on log p(x).",
    "nll": "Negative log-likelihood: the importance-weighted bound (Burda et al. 2015); each pixel is black or white, "
    "drawn in proportion to its grey once for the whole measurement.",
    "psnr": "PSNR and SSIM: of decode(mean code) against the picture, which is grey or in colour.",
    "fid": "FID: Frechet distance (Heusel et al. 2017), float64; beside it the floor, real pictures against real ones.",
    "fid_then": "The DCGAN's numbers are those of its best weights by the validation split. The last line compares the two "
    "trainings after the same time on one busy core.",
    "precision": "Precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020.",
    "cas": "CAS (Ravuri and Vinyals 2019): `genmodels.metrics.cas`, 2,000 pictures a class, five epochs, no augmentation.",
    "nats": "In blocks of 256 characters, each read from its own beginning, as usual for this text; the natural logarithm.",
    "auroc": "AUROC: how often a strange picture gets the more unusual number of the two, one of each kind drawn at random; "
    "0.5 is guessing, under it the strange ones look more usual. Pictures have many likelihoods, one a layer: how "
    "far they are from their mean of the validation split, in standard deviations of all directions "
    "(Mahalanobis), is the typicality that stands beside the likelihood as a whole.",
    "below": "Perplexity: exp(-log p / number of characters), over the characters of the bodies; marks and the end of a poem "
    "are neither scored nor counted. Characters that the training poems show less than twice are one unknown "
    "character to both models. The 5-gram, `train.ngram`, is told the form and has read the same bodies.",
    "restored_psnr": "PSNR: peak 1, mean over the pictures, each restored one clipped to [0, 1]; SSIM: Wang et al. 2004. The "
    "noise is that of `genmodels.denoiser.add_noise`, Gaussian noise not clipped.",
    "moved": "Moving a face (Larsen et al. 2015): the judge looks at what the code decodes to, before and after. "
    "Attributes that change by definition (`genmodels.metrics.LINKED_ATTRIBUTES`) or cannot be seen do not count.",
}
PAGE = """# {name}

{what} {parameters:,} parameters, trained on {title} by this repository.

{samples}

```python
import genmodels as gm

model = gm.load("{name}")
{code}
```

## Measured

By `{command}`.

{numbers}

## Training

{minutes:g} minutes in all.{seen} Weights averaged over steps, {best}; the curves are in `log.jsonl`.

{runs}

Configuration: {config}.

## Intended use

{use}

## Limits

{limits} The test split gave only the numbers above: all choices were made on {chosen}.

## Data and licence

{credit}; {licence}. The weights are under the Apache License 2.0, like the code.

## Reference

{reference}
"""


def family_and_set(name):
    """("vae", "mnist") of "vae-mnist-2d"; a ValueError if it is not named so."""
    family, dataset = (name.split("-") + [""])[:2]
    if family not in ABOUT or dataset not in SETS:
        raise ValueError(
            f"A checkpoint is named <family>-<set>[-variant], of the families {', '.join(ABOUT)} and the "
            f"sets {', '.join(SETS)}; '{name}' is not."
        )
    return family, dataset


def about(family, dataset):
    """What to say about a family, or about its model of this set."""
    return ABOUT[family].get(dataset, ABOUT[family])


def shown(result):
    """A number as people read it."""
    value = result.metric_value
    return f"{value:.2%}" if result.metric_type in PERCENT else f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def write_card(folder, results, command, headline):
    """Write a checkpoint's README.md from its numbers, its configuration and its log.

    results: list of `huggingface_hub.EvalResult`; command: what measured them; headline: for the table of models.
    """
    family, dataset = family_and_set(folder.name)
    model, runs, say = gm.load(folder), training_runs(folder), about(family, dataset)
    facts = {
        "command": command,
        "headline": headline,
        "paper": say["paper"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "minutes": round(sum(run.get("minutes") or 0 for run in runs), 1),
    }
    front = ModelCardData(
        license="apache-2.0",
        library_name="genmodels",
        pipeline_tag=say["task"],
        tags=[family, "pytorch"],
        datasets=[SETS[dataset]["hub"]] if SETS[dataset]["hub"] else None,
        model_name=folder.name,
        eval_results=results,
        genmodels=facts,
    )
    config = model.config
    words = {
        "name": folder.name,
        "dataset": dataset,
        "chosen": CHOSEN,
        **facts,
        **SETS[dataset],
        **config,
        "labels": "",
        "seen": "",
        "best": "the best of them by the validation split",
        "samples": "![samples](samples.png)",
    }
    if family == "transformer":
        seen = sum(run["steps"] * run["batch"] for run in runs) * model.context
        words["seen"] = f" {seen:,} tokens seen: steps times batch times {model.context}."
        if "--whole" in runs[-1]["command"].split():
            words["best"] = (
                "the last of them: this run read the validation split too (`--whole`), as runs in print do, and "
                "nothing was selected in it"
            )
            words["chosen"] = "the last twentieth of the first 90 % of the text, in earlier runs that had not read it"
        config |= {"alphabet": f"{len(config['alphabet'])} characters"} if model.kind != "pixels" else {}
    if (text := folder / "samples.txt").is_file():
        words["samples"] = f"```text\n{text.read_text(encoding='utf-8').strip()}\n```"
    if getattr(model, "values", None):
        words["labels"] = (
            " Training also drew the code towards a sum of one vector for each value of the labels, "
            "so that an attribute is changed by a difference of vectors."
        )
    if config.get("reconstruction_weight"):  # of a GAN
        words["labels"] = (
            " Its generator has a second task, that of a VAE: an encoder gives each training picture a code, "
            "from which it is painted again (Larsen et al., Autoencoding beyond pixels, 2016), with a weight "
            f"of {config['reconstruction_weight']:g}."
        )
    if hasattr(model, "conditions"):
        words |= {
            "conditions": ", ".join(model.conditions),
            "label": 3 if len(model.classes) == 1 else [1] * len(model.classes),
        }
    numbers = [
        (
            r.metric_name,
            shown(r),
            r.dataset_split,
            f"{r.metric_args['N']:,}",
            r.metric_args.get("seed", ""),
            r.metric_args.get("beside", ""),
        )
        for r in results
    ]
    columns = ("command", "pictures", "batch", "steps", "seed", "minutes", "device", "date")
    cells = [[f"`{run.get(k)}`" if k == "command" else run.get(k, "") for k in columns] for run in runs]
    notes = "\n".join(f"- {note}" for kind, note in NOTES.items() if kind in {r.metric_type for r in results})
    notes += calls_table(folder / "calls.json") + methods_table(folder / "table.json")
    augmented = folder / "augmentation.json"  # of train.augmentation
    if augmented.is_file():
        notes += "\n\nTraining data from a VAE: " + json.loads(augmented.read_text(encoding="utf-8"))["text"]
    page = PAGE.format(
        **words,
        **{k: say[k].format(**words) for k in ("what", "code", "use", "limits", "reference")},
        numbers=markdown(("", "value", "split", "N", "seed", "beside it"), numbers) + f"\n\n{notes}".rstrip(),
        runs=markdown(["passages" if k == "pictures" and text.is_file() else k for k in columns], cells),
        config=", ".join(f"`{k}={v}`" for k, v in config.items()),
    )
    write(folder / "README.md", f"---\n{front.to_yaml()}\n---\n\n{page}")


def calls_table(file):
    """FID against network calls, from a checkpoint's `calls.json`; "" if there is none."""
    if not file.is_file():
        return ""
    table = json.loads(file.read_text(encoding="utf-8"))
    rows = [(r["sampler"], r["calls"], r["steps"], r["fid"]) for r in table["rows"]]
    return (
        f"\n\nFID against network calls: {table['n']:,} pictures each, to the {table['split']} split, seed "
        f"{table['seed']}; as many training pictures: {table['floor']['fid']:.4g}.\n\n"
        + markdown(("sampler", "network calls", "steps", "FID"), rows)
    )


def methods_table(file):
    """All methods beside each other, from a denoiser's `table.json`; "" if there is none."""
    if not file.is_file():
        return ""
    table = json.loads(file.read_text(encoding="utf-8"))
    return f"\n\n{table['text']}\n\n{markdown(table['columns'], table['rows'])}"


def markdown(columns, rows):
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (columns, ["---"] * len(columns), *rows))


def training_runs(folder):
    """The facts of each training run that made a checkpoint, first to last: the "run" lines of its log."""
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
    """Write a card again with its own numbers, after its words or its log have changed."""
    results, facts = read_card(folder)
    write_card(folder, results, facts["command"], facts["headline"])


def models_table():
    """The table of models, from the cards of all checkpoints."""
    families = list(gm.FAMILIES)
    rows = []
    for name in sorted(gm.checkpoints(), key=lambda name: (families.index(family_and_set(name)[0]), name)):
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
    return markdown(("checkpoint", "paper", "parameters", "minutes", "on the test split"), rows)


def put_table(readme, table):
    """Replace what stands between the two MARKS of a README by the table."""
    text = readme.read_text(encoding="utf-8")
    begin, end = map(text.find, MARKS)
    if begin < 0 or end < begin:
        raise ValueError(f"{readme} must hold the lines {MARKS[0]} and {MARKS[1]}: the table goes between them.")
    write(readme, f"{text[:begin]}{MARKS[0]}\n{table}\n{text[end:]}")


def write(file, text):
    """A text file that is there whole or as it was."""
    aside = file.with_name(f".{file.name}.new")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, file)
