"""Every rule of the contract is broken by a small plugin, and the check names it; what breaks none passes."""

from __future__ import annotations

import re
import textwrap

import pytest
from plugin_sources import GOOD, checked_source, failed, source, verdicts

from ucbench.testing import RULES
from ucbench.testing.subject import CALLS

_RETURN = "return ucbench.Perturbation"
_OWN = (
    "delta = delta.repeat(len(train), 0); delta[1:] /= 2; return ucbench.Perturbation(delta, np.arange(len(train))) #"
)
_ASSIGNED = "return np.zeros(len(images), np.int64)"
_RESUMED = "run.checkpoint.save(1, {}); delta *= 1 - bool(run.checkpoint.load())"
_DONE = "on_done(task, compute(task, session))"
_LOAD = 'load=f"{__name__}:Thing")'
_MEAN = "float(context.model(x).mean())"


def other(fields: str, body: str) -> str:
    """The end of a file whose spec has ``fields`` too and loads a class with ``body``, instead of :data:`_LOAD`."""
    return f'{fields}load=f"{{__name__}}:Other")\n\nclass Other(Thing):\n{textwrap.indent(body, "    ")}'


def defended(signature: str, value: str) -> str:
    """A further stage that returns ``value``, before ``def augment``."""
    return f"def {signature}:\n        return {value}\n\n    def augment"


def trainer(predicted: str) -> str:
    return other(
        "opaque=True, ",
        f"def fit(self, train, trusted, run):\n    pass\n\ndef predict(self, images):\n    return {predicted}\n",
    )


def fitted(state: str) -> str:
    """Features depend on the fit, of which nothing is restored."""
    return other(
        "",
        "shift = 0\n\n"
        "def features(self, x):\n    return super().features(x) + self.shift\n\n"
        f"def fit(self, train, run):\n    self.shift = 1\n    return {state}\n\n"
        "def restore(self, state, train, run):\n    pass\n",
    )


def untrained(network: str) -> str:
    """Features without weights are not refused."""
    return other(
        "untrained=True, ",
        "def module(self, seed, train=None):\n"
        f"    with ucbench.seeded(seed):\n        network = {network}\n"
        "    network.features = nn.Flatten()\n    return network\n",
    )


_IDLE = "type('Idle', (nn.Linear,), {'forward': lambda self, x: x})(1, 1)"
_FEW = "type('Few', (nn.Module,), {'forward': lambda self, x: x[:3]})()"
_NETWORK = "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, len(train.classes)))"
_RANDOM = "torch.rand((len(x), 1, 1, 1), generator=generator)"
_LAST = "nn.Linear(3 * size[0] * size[1], classes)"
_READS = "label_access='none' or 'names' must not read labels"
_NATIVE = "must name the native_epsilon of its norm. A budget in {} needs"
_ORDER = "published and the test images, in their order. For the set 'sample'"
_PREPARED = "as many labelled images"
_LOGITS = r"finite float32 logits \[2, 5\].*"
#: What is exchanged in the good component, the rule that is broken then, and what the check says of it.
BROKEN = [
    ("poisoner", "(2 * noise - 1)", "(3 * noise - 1)", "budget", r"exceeds its budget \(linf 8\)"),
    ("poisoner", "run.budget.radius", "8 / 255", "budget", r"exceeds its budget \(linf 4\)"),
    ("poisoner", 'generator=run.generator("noise")', "", "generators", r"craft\(\) must leave the global generators"),
    ("poisoner", _RETURN, "torch.manual_seed(0); return ucbench.Perturbation", "generators", r"craft\(\) must leave"),
    ("poisoner", _RETURN, "torch.from_numpy(train.images)[0, 0, 0, 0] ^= 1; return ucbench.Perturbation", "inputs",
     r"craft\(\) must not modify its inputs\. The image set 'sample' changed"),
    ("poisoner", _RETURN, "delta[0, 0, 0, 0] = np.nan; return ucbench.Perturbation", "perturbation", "finite"),
    ("poisoner", "np.zeros(len(train), np.int64)", "np.zeros(len(train))", "perturbation", "must be int64"),
    ("poisoner", "np.zeros(len(train), np.int64)", "np.zeros(len(train) // 4 * 4, np.int64)", "perturbation",
     r"must be int64 \[13\].*got \[12\]"),
    ("poisoner", _RETURN, f"delta *= len(train.label_sets) or 0.5; {_RETURN}", "label-free", _READS),
    ("poisoner", _RETURN, f"delta *= train.labels is None; {_RETURN}", "label-free", _READS),
    ("poisoner", _RETURN, f"train.known_labels; {_RETURN}", "label-free",
     "must work without labels. sample has no labels here"),
    ("poisoner", "native_epsilon=8", 'budget="l2"', "native-budget", _NATIVE.format("l2")),
    ("poisoner", "native_epsilon=8", 'budget="l0"', "native-budget", _NATIVE.format("l0")),
    ("poisoner", "native_epsilon=8", "native_epsilon=8 / 255", "native-budget", "8-bit levels from 1 to 255"),
    ("poisoner", _RETURN, "assert len(train) > 3, 'too few'; return ucbench.Perturbation", "few-images",
     r"craft\(\) failed\. AssertionError: too few"),
    ("poisoner", _RETURN, f"delta *= next(CALLS) % 2; {_RETURN}", "same-seed",
     r"same seed must give the same perturbation\. delta differs in \d+ of \d+ values"),
    ("poisoner", _RETURN, f"delta *= __import__('random').random(); {_RETURN}", "same-seed", "delta differs in"),
    ("poisoner", _RETURN, _OWN, "granularity", "all images share one perturbation. They have 2"),
    ("poisoner", _RETURN, f"{_RESUMED}; {_RETURN}", "checkpoint", "from the checkpoint of step 1 must end as without"),
    ("poisoner", _ASSIGNED, "return np.ones(len(images), np.int64)", "assign",
     r"assign\(\) must return int64 \[7\] in 0\.\.0 for 7 images\. .*values \[1\]"),
    ("poisoner", _ASSIGNED, "return np.zeros(len(images))", "assign", r"It returned float64 \[7\]"),
    ("poisoner", _ASSIGNED, "return np.zeros(len(images), np.int64) + (len(images) == 1)", "assign-each",
     r"every image by itself, but image \d alone"),
    ("poisoner", _ASSIGNED, f"{_ASSIGNED}\n\n    def transform(self, x, index, state):\n        return 2 + x",
     "transform", r"transform\(\) must return images .* run from 2"),
    ("poisoner", "run.budget.radius", "run.budget.radios", "runs", r"craft\(\) failed"),
    ("poisoner", "self.params = params", "self.params = param", "runs", "building one failed"),
    ("labeling", "clean.known_labels % 2, names", "published.images[:, 0, 0, 0] % np.int64(2), names", "semantic",
     "source='semantic' must not read the published pixels"),
    ("labeling", "test.known_labels % 2", "(test.known_labels + published.images[0, 0, 0, 0]) % 2", "scoring",
     "test set's labels must not depend on the published pixels"),
    ("labeling", "return published.with", "return clean.with", "images", _ORDER),
    ("labeling", "return published.with", "return published.subset(np.arange(13)[::-1]).with", "images", _ORDER),
    ("labeling", "test.known_labels % 2, names", "test.known_labels % 2, names[::-1]", "classes",
     "labelled in the same classes"),
    ("labeling", "clean.known_labels % 2, names", "None", "labelled",
     "must label every image, by the number of its class. The set 'sample' has no labels"),
    ("labeling", "clean.known_labels % 2", "(clean.known_labels + next(CALLS)) % 2", "same-seed", ""),
    ("defense", _RANDOM, "torch.rand((1, 1, 1, 1), generator=generator)", "per-image",
     "draw for every image, not once for a batch"),
    ("defense", _RANDOM, "torch.rand((len(x), 1, 1, 1))", "generators", r"augment\(\) must leave the global"),
    ("defense", "return x *", "return 2 - x *", "batch", r"augment\(\) must return .* run from 1"),
    ("defense", "return x *", "return x[..., 1:] *", "batch", r"augment\(\) must return float32 images \[13,"),
    ("defense", "return x *", "return x.mul_(0.5) *", "inputs", r"augment\(\) must not modify its inputs"),
    ("defense", 'summary="A thing"', 'summary="A thing", static=True', "static", ""),
    ("defense", "def augment", "def agument", "stages",
     "has at least one of prepare, augment, mix, loss, rates, at_test, select. It has none"),
    ("defense", "return x *", "return x * (next(CALLS) % 2) *", "same-seed", ""),
    ("defense", "def augment", defended("prepare(self, train, run)", "train.with_labels(None)"), "prepared", _PREPARED),
    ("defense", "def augment", defended("prepare(self, train, run)", "train.subset(np.arange(5))"), "prepared",
     _PREPARED),
    ("defense", "def augment", defended("mix(self, x, targets, *_)", "x, 2 * targets"), "targets",
     "probabilities. Rows sum to 2"),
    ("defense", "def augment", defended("mix(self, x, targets, *_)", "x, targets.argmax(1)"), "targets",
     r"targets \[13, 10\]"),
    ("defense", "def augment", defended("mix(self, x, targets, *_)", "x[0]"), "runs", r"mix\(\) failed"),
    ("defense", "def augment", defended("loss(self, *_)", "torch.tensor(1.0)"), "loss", "must have a gradient"),
    ("defense", "def augment", defended("loss(self, model, x, *_)", "model(x).mean(1)"), "loss", "finite scalar"),
    ("defense", "def augment", defended("rates(self, *_)", "{'weights': 0.5}"), "rates",
     "by names of the model's parameters"),
    ("defense", "def augment", defended("rates(self, model, _)", "dict.fromkeys(dict(model.named_parameters()), -1)"),
     "rates", "factors from 0"),
    ("defense", "def augment", defended("rates(self, model, run)", "{} if model.eval() else {}"), "model", ""),
    ("defense", "def augment", defended("at_test(self, x)", "x / x.max() * x.mean()"), "test-each",
     "must not depend on the rest of its batch"),
    ("defense", "def augment", defended("at_test(self, x)", "255 * x"), "batch",
     r"at_test\(\) must return .* in \[0, 1\]"),
    ("defense", "def augment", defended("select(self, scores)", "len(scores)"), "select", ""),
    ("defense", "def augment", defended("select(self, scores)", "len(scores) - 1"), "trusted",
     "must say that it needs the trusted set. needs_trusted is False"),
    ("defense", "x, run, generator", "x, run", "runs", "where the core calls the component"),
    ("victim", "self.recipe =", "self.recipes =", "recipe", "a victim must have a recipe"),
    ("victim", "return nn.Sequential", "torch.manual_seed(0); return nn.Sequential", "initialisation",
     "initialise from torch's global generator. Two seeds gave the same weights"),
    ("victim", "size[1], classes)", "size[1], classes + 1)", "logits", ""),
    ("victim", _LAST, f"{_LAST}, nn.Unflatten(1, (classes, 1))", "logits",
     rf"{_LOGITS}It returned torch.float32 \[2, 5, 1\]"),
    ("victim", _LAST, f"{_LAST}, nn.Softmax(1)", "logits", rf"{_LOGITS}They are probabilities"),
    ("victim", _LAST, f"{_LAST}, nn.LogSoftmax(1)", "logits", rf"{_LOGITS}They are logarithms of probabilities"),
    ("victim", "* size[1], classes)", "* size[0], classes)", "runs", ""),
    ("victim", "nn.Flatten(),", "nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten(),", "each-image",
     "in eval mode an image's logits must not depend on the rest of its batch"),
    ("victim", 'summary="A thing"', 'summary="A thing", opaque=True', "opaque", ""),
    ("victim", "return nn.Sequential", "return lambda x: nn.Sequential", "module", ""),
    ("victim", "nn.Flatten(),", f"nn.Flatten(), {_IDLE},", "gradients",
     "reach all trainable weights. No gradient at 1.weight, 1.bias"),
    ("victim", "nn.Flatten(),", f"nn.Flatten(), {_FEW},", "trains", ""),
    ("victim", _LOAD, trainer("np.zeros(3, np.int64)"), "predictions", ""),
    ("victim", _LOAD, trainer("np.full(len(images), next(CALLS) % 2)"), "same-seed", ""),
    ("surrogate", "self.network.requires_grad_(False)", "", "frozen",
     "leave no gradient on the weights. There is one on 0.weight"),
    ("surrogate", "return self.network(x)", "return self.network(x).detach()", "differentiable",
     "must be differentiable in the images. They have no gradient"),
    ("surrogate", "return self.network(x)", "return self.network(0 * x)", "differentiable", "zero everywhere"),
    ("surrogate", "return self.network(x)", "return self.network(x - x.mean(0))", "each-image",
     r"features\(\) of an image must not depend on the rest of its batch"),
    ("surrogate", "def to(", "def move(", "methods", ""),
    ("surrogate", "return self.network\n", "return None\n", "network", ""),
    ("surrogate", "return self.network(x)", "return self.network(x).double()", "outputs", ""),
    ("surrogate", _LOAD, fitted("{'shift': 1}"), "state", ""),
    ("surrogate", _LOAD, fitted("{'calls': np.array(next(CALLS))}"), "same-seed", ""),
    ("surrogate", _LOAD, fitted("{'classes': np.unique(train.known_labels)}"), "label-free",
     "sample has no labels here"),
    ("surrogate", _LOAD, fitted("{}"), "restored",
     "restored surrogate must have the features and scores of the fitted one. features differs"),
    ("surrogate", _LOAD, untrained(f"{_NETWORK}.requires_grad_(False)"), "fresh", ""),
    ("surrogate", _LOAD, untrained(_NETWORK), "no-weights", ""),
    ("dataset", "np.random.default_rng(len(split))", "np.random.default_rng()", "same-load",
     "same images in the same order. Two loads of the train split"),
    ("dataset", '("a", "b")', '("a", split)', "splits", "disagree about the classes"),
    ("dataset", "rng.integers(", "rng.integer(", "runs", ""),
    ("dataset", "return ucbench", "return images if split else ucbench", "image-set",
     r"load\('train'\) must return a ucbench.ImageSet. Got uint8 \[6, 3, 8, 8\]"),
    ("dataset", "class Thing:", "class Thing(ucbench.FramedDataset):\n    find = lambda self, split: split\n", "split",
     ""),
    ("dataset", "class Thing:", "class Thing:\n    note = 3\n", "note", ""),
    ("metric", _MEAN, 'float("nan")', "finite", "finite numbers .* Got 'mean': nan"),
    ("metric", _MEAN, 'float("inf")', "finite", "finite numbers .* Got 'mean': inf"),
    ("metric", _MEAN, "-(2.0**63)", "finite", "finite numbers .* Got 'mean': -9"),
    ("metric", _MEAN, "10**400", "finite", "finite numbers .* Got 'mean': 10"),
    ("metric", _MEAN, '"much"', "finite", "finite numbers .* Got 'mean': 'much'"),
    ("metric", f'"mean": {_MEAN}', "3: 1.0", "finite", "finite numbers .* Got 3: 1.0"),
    ("metric", _MEAN, "float(torch.rand(()))", "generators", r"compute\(\) must leave the global generators alone"),
    ("metric", _MEAN, "next(CALLS)", "same-seed", ""),
    ("metric", "return {", "return {} and {", "values", "mapping of names to numbers. Got dict"),
    ("metric", "return {", "return None and {", "values", "mapping of names to numbers. Got NoneType"),
    ("metric", "with torch.no_grad():", "with torch.set_grad_enabled(not context.model.train()):", "model",
     "must not change the model"),
    ("executor", "for task in tasks:", "for task in tasks[1:]:", "once", ""),
    ("executor", _DONE, "on_done(task, {**compute(task, session), 'status': 'ok'})", "failures", ""),
    ("executor", _DONE, "on_done(task, {**compute(task, session), 'cell': ''})", "same-records", ""),
    ("exporter", "return ", "return f'{np.random.default_rng().random()}' + ", "repeatable", ""),
    ("exporter", "for e in entries)", "for e in entries if e.rank)", "complete", ""),
    ("exporter", "return ", "return list(entries) or ", "text", ""),
]  # fmt: skip


@pytest.mark.parametrize("kind", GOOD)
def test_conforming_component_passes(capsys, tmp_path, kind):
    code, entry = checked_source(capsys, tmp_path, source(kind))
    assert entry["component"] == f"{kind} thing"
    assert (code, failed(entry), entry["not_checked_because"]) == (0, set(), None)
    assert verdicts(entry)[f"{kind}/runs"] == "ok"


@pytest.mark.parametrize(
    ("kind", "old", "new", "rule", "said"), BROKEN, ids=[f"{kind}-{rule}" for kind, _, _, rule, _ in BROKEN]
)
def test_broken_rule_is_named_with_evidence_and_fix(capsys, tmp_path, kind, old, new, rule, said):
    code, entry = checked_source(capsys, tmp_path, source(kind, old, new))
    assert code == 1
    assert f"{kind}/{rule}" in failed(entry), entry
    line = next(line for line in entry["rules"] if line["rule"] == f"{kind}/{rule}")
    assert line["evidence"]
    assert line["fix"]
    assert re.search(said, f"{line['states']}. {line['evidence']}")


def test_every_rule_is_broken_by_a_case():
    rules = {(kind, rule.name) for kind, of_kind in RULES.items() for rule in of_kind if rule not in CALLS}
    assert rules <= {(kind, rule) for kind, _, _, rule, _ in BROKEN}


def test_rules_are_judged_independently(capsys, tmp_path):
    """Two that are broken are both found, and those between them are not spoiled."""
    text = source("poisoner", _RETURN, "np.random.rand(); delta *= 2; return ucbench.Perturbation")
    _, entry = checked_source(capsys, tmp_path, text.replace('"A thing"', '""'))
    assert failed(entry) == {"spec/summary", "poisoner/generators", "poisoner/budget"}
    assert verdicts(entry)["poisoner/same-seed"] == "ok"
    assert verdicts(entry)["poisoner/checkpoint"] == "skipped"


@pytest.mark.parametrize(
    ("assigns", "transforms", "why"),
    [
        (True, False, "it has no transform()"),
        (False, False, "it has no transform()"),
        (False, True, "it has no assign(), without which it is never called"),
    ],
)
def test_skipped_transform_says_which_method_is_missing(capsys, tmp_path, assigns, transforms, why):
    text = source("poisoner", "    def assign", f"    def {'assign' if assigns else 'unused'}")
    if transforms:
        text = text.replace("    def craft", "    def transform(self, x, *_):\n        return x\n\n    def craft")
    _, entry = checked_source(capsys, tmp_path, text)
    (line,) = (line for line in entry["rules"] if line["rule"] == "poisoner/transform")
    assert (line["verdict"], line["evidence"]) == ("skipped", why)
