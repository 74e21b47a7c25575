"""From parameters to a CLIP with its weights: every tensor has a place, and every place gets one."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
import torch.nn.functional as F
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed
from torch import Tensor, nn

from ucbench import DataError, Mode, UnmetRequestError, UsageError, load_weights, read_weights, seeded
from ucbench_openclip.configuration import config_beside, read_config
from ucbench_openclip.names import check_names
from ucbench_openclip.params import RANDOM_WEIGHTS, ClipParams

_log = logging.getLogger(__name__)

#: Pixels to which the residual towers' last feature map has one cell a side.
STRIDE = 32


class LoadedClip(NamedTuple):
    """A CLIP in eval mode and without gradients, and the inputs that its two towers take.

    Attributes:
        model: has open_clip's ``encode_image``, ``encode_text``, ``logit_scale`` and perhaps ``logit_bias``.
        place: where open_clip finds its configuration; see :func:`tokenizer_of`.
        mean: per channel, on the [0, 1] scale.
        std: likewise.
        size: height and width of the input in pixels.
        mode: how images are resized to it.
        note: what a record says of the weights; empty for plain ones.
    """

    model: Any
    place: str
    mean: Sequence[float]
    std: Sequence[float]
    size: tuple[int, int]
    mode: Mode
    note: str


def load_clip(params: ClipParams) -> LoadedClip:
    """Build the model that ``params`` name and load its weights strictly; no code from files is run.

    Checkpoints of trainings are unwrapped as :func:`ucbench.read_weights` says.

    With a tag, activation and normalisation are the tag's: ``RN50/openai`` computes with QuickGELU, as its weights were
    trained, and is the same model as ``RN50-quickgelu/openai``. (open_clip itself follows the architecture's name and
    warns.) The network is used for a tag without ``checkpoint`` that open_clip's cache does not hold, and by text
    towers that are described on the Hugging Face hub.

    Raises:
        UsageError: for a name that open_clip does not know, weights that cannot be fetched, or a size that the image
            tower does not take.
        DataError: if a file cannot be read or does not fit.
    """
    tag, file = check_names(params.architecture, params.tag, params.checkpoint), weights_file(params)
    if params.architecture is not None:
        place = params.architecture
    else:
        assert file is not None
        read_config(file)
        place = f"local-dir:{file.parent}"
    source = f"openclip:{params.clip}" if file is None else f"{file} ({params.clip or config_beside(file).name})"
    with seeded(0):  # the initial weights, all of them overwritten unless random ones are requested
        model = _built(place, tag, source, params.size)
    if file is None:
        note = RANDOM_WEIGHTS
        _log.warning("%s has %s.", source, note)
    else:
        note = _load(model, file, source)
    with _quietly():
        size = at_size(model.visual, params.size)
    config = model.visual.preprocess_cfg
    mode: Mode = "bilinear" if config["interpolation"] == "bilinear" else "bicubic"
    model.eval().requires_grad_(False)
    return LoadedClip(model, place, config["mean"], config["std"], size, mode, note)


def weights_file(params: ClipParams) -> Path | None:
    """The file of the weights that ``params`` name, fetched if necessary; None for random ones.

    Raises:
        UsageError: for a name that open_clip does not know, or weights that cannot be fetched.
        UnmetRequestError: if there is no such file.
    """
    tag = check_names(params.architecture, params.tag, params.checkpoint)
    if params.weights == "random":
        return None
    file = params.checkpoint or _fetched(params, tag)
    if not file.is_file():
        raise UnmetRequestError(f"Cannot read the weights {file}: there is no such file.")
    return file


def at_size(visual: Any, size: int | None) -> tuple[int, int]:
    """Make a loaded image tower take squares of ``size`` pixels; None leaves it as it is.

    Learned positions are resized: those of open_clip's transformers by open_clip while loading, those of the attention
    pool of its residual networks here (bicubic, as open_clip does elsewhere), and timm's towers by timm.

    Returns:
        Height and width of the input.

    Raises:
        UsageError: if the tower does not take that size.
    """
    height, width = visual.image_size if isinstance(visual.image_size, tuple | list) else (visual.image_size,) * 2
    if size is None or (height, width) == (size, size):
        return height, width
    if hasattr(visual, "attnpool"):
        _resize_pool(visual.attnpool, size)
        return size, size
    try:
        visual.set_input_size((size, size))
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(
            f"This image tower cannot take size={size} ({type(error).__name__}: {error}). Leave it at {height}."
        ) from error
    return size, size


def _resize_pool(pool: Any, size: int) -> None:
    if size % STRIDE:
        raise UsageError(f"size={size}: CLIP's residual networks take multiples of {STRIDE} pixels.")
    positions: Tensor = pool.positional_embedding.detach()
    whole, cells = positions[:1], positions[1:]  # the mean of all cells has a position too
    side, grid = round(len(cells) ** 0.5), size // STRIDE
    square = cells.T.reshape(1, -1, side, side)
    with torch.no_grad():
        square = F.interpolate(square, (grid, grid), mode="bicubic", antialias=True, align_corners=False)
    pool.positional_embedding = nn.Parameter(torch.cat([whole, square.flatten(2)[0].T]), requires_grad=False)


def tokenizer_of(clip: LoadedClip) -> Callable[[Sequence[str]], Tensor]:
    """Texts to token ids ``[B, length]`` as the model's text tower reads them.

    CLIP's own vocabulary is part of open_clip; some other towers have theirs on the Hugging Face hub.

    Raises:
        UsageError: if the vocabulary is not available.
    """
    try:
        with _quietly():
            tokenizer: Callable[[Sequence[str]], Tensor] = open_clip.get_tokenizer(clip.place)
    except Exception as error:  # transformers may be missing, or the hub out of reach
        raise UsageError(f"The tokenizer of {clip.place} is not available ({_reason(error)}).") from error
    return tokenizer


def _fetched(params: ClipParams, tag: Mapping[str, Any]) -> Path:
    try:
        with _quietly():
            return Path(open_clip.download_pretrained(tag))
    except Exception as error:  # the hub's client, urllib and open_clip each raise their own
        where = f"https://huggingface.co/{tag['hf_hub'].rstrip('/')}" if tag.get("hf_hub") else tag.get("url")
        raise UsageError(
            f"The weights {params.tag!r} of {params.architecture} are not in open_clip's cache and cannot be fetched"
            f" from {where} ({_reason(error)}). Without a network, give a local file: {params.clip}:checkpoint=FILE"
        ) from error


def _built(place: str, tag: Mapping[str, Any], source: str, size: int | None) -> Any:
    try:
        tower = open_clip.get_model_config(place)["vision_cfg"]
        # Only open_clip's own transformer is built at another size: its positions are resized while they are loaded.
        transformer = "timm_model_name" not in tower and not isinstance(tower.get("layers"), list)
        with _quietly():
            return open_clip.create_model(
                place,
                load_weights=False,
                pretrained_text=False,
                force_quick_gelu=bool(tag.get("quick_gelu")),
                force_image_size=size if transformer else None,
                force_preprocess_cfg={key: tag[key] for key in ("mean", "std", "interpolation") if key in tag},
            )
    except Exception as error:  # whatever a wrong configuration leads to
        raise DataError(f"open_clip cannot build the model of {source} ({_reason(error)}).") from error


def _load(model: nn.Module, file: Path, source: str) -> str:
    """Load the weights; returns the note of :func:`ucbench.read_weights`."""
    note = ""
    try:
        with _quietly():
            if file.suffix in (".npz", ".npy"):  # Google's format, which open_clip alone converts
                open_clip.load_checkpoint(model, str(file))
                return note
        tensors, note = read_weights(file)
        with _quietly():
            tensors = _converted(model, dict(tensors))
    except DataError:
        raise
    except Exception as error:  # whatever tensors of another model lead to
        raise DataError(f"The weights {source} do not fit ({_reason(error)}).") from error
    load_weights(model, tensors, f"The file of weights {source}")
    return note


def _converted(model: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names and in the shapes of ``model``, by the conversions of ``open_clip.load_checkpoint``."""
    tensors = convert_state_dict(model, tensors)
    if "positional_embedding" in tensors and not hasattr(model, "positional_embedding"):
        tensors = convert_to_custom_text_state_dict(tensors)
    for name in ("logit_scale", "logit_bias"):  # a number in some files, a vector of one in others
        if name in tensors and (place := getattr(model, name)) is not None:
            tensors[name] = tensors[name].reshape(place.shape)
    if model.logit_bias is not None:
        tensors.setdefault("logit_bias", torch.zeros_like(model.logit_bias))
    tensors.pop("text.transformer.embeddings.position_ids", None)  # of old versions of transformers
    resize_pos_embed(tensors, model)
    resize_text_pos_embed(tensors, model)
    return tensors


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {textwrap.shorten(str(error), 240, placeholder=' ...')}"


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep open_clip from warning of weights not yet loaded, and from setting up the root logger to do so."""
    root, handler, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        root.removeHandler(handler)
