"""The public names, and the modules they live in. Read by type checkers, and by ``__init__.py`` when it runs."""

from .api import craft as craft, plan as plan, run as run
from .crafting.bilevel import BiLevel as BiLevel
from .crafting.clustering import (
    Clusters as Clusters,
    cluster as cluster,
    clusters_of as clusters_of,
    extract_features as extract_features,
    nearest_centre as nearest_centre,
    predict_classes as predict_classes,
)
from .crafting.frozen import FrozenNetwork as FrozenNetwork, NetworkSurrogate as NetworkSurrogate
from .crafting.patterns import on_grid as on_grid
from .crafting.pgd import pgd as pgd, project as project
from .crafting.poisoner import CraftRun as CraftRun, Perturbation as Perturbation
from .crafting.resize import Mode as Mode, resize as resize
from .crafting.surrogate import FittedSurrogate as FittedSurrogate, Surrogate as Surrogate
from .data.budget import Budget as Budget, LEVELS as LEVELS, blocks as blocks, sizes as sizes
from .data.framed import FramedDataset as FramedDataset, Split as Split, SplitName as SplitName
from .data.images import Framing as Framing, Picture as Picture, assemble as assemble
from .data.imageset import ImageSet as ImageSet, LabelSet as LabelSet
from .data.params import DatasetParams as DatasetParams
from .data.selection import balanced_indices as balanced_indices, stratified_split as stratified_split
from .errors import (
    ContractError as ContractError,
    DataError as DataError,
    PluginError as PluginError,
    StoreError as StoreError,
    UcbenchError as UcbenchError,
    UsageError as UsageError,
    did_you_mean as did_you_mean,
)
from .exploit.labels import LabelRun as LabelRun
from .leaderboard.entries import Entry as Entry
from .leaderboard.layout import sections as sections
from .metrics.features import cosine_gap as cosine_gap
from .metrics.information import (
    Labels as Labels,
    agreement as agreement,
    best_matching as best_matching,
    contingency as contingency,
)
from .metrics.metric import MetricContext as MetricContext
from .numerics import Numerics as Numerics, available_cores as available_cores, versions as versions
from .plugins.grammar import parse_chain as parse_chain
from .plugins.hookspecs import hookimpl as hookimpl
from .plugins.params import Params as Params
from .plugins.registry import Component as Component, installed as installed, trying as trying
from .plugins.specs import (
    CellEvent as CellEvent,
    ComponentSpec as ComponentSpec,
    DatasetSpec as DatasetSpec,
    DefenseSpec as DefenseSpec,
    ExecutorSpec as ExecutorSpec,
    ExporterSpec as ExporterSpec,
    LabelingSpec as LabelingSpec,
    MetricSpec as MetricSpec,
    Norm as Norm,
    PoisonerSpec as PoisonerSpec,
    SurrogateSpec as SurrogateSpec,
    VictimSpec as VictimSpec,
)
from .results.records import Record as Record
from .running.compute import compute as compute, failed as failed
from .running.executors.dispatcher import Dispatcher as Dispatcher
from .running.executors.serial import OnDone as OnDone
from .running.executors.worker import (
    JobRunner as JobRunner,
    Reply as Reply,
    Request as Request,
    Worker as Worker,
    WorkerError as WorkerError,
)
from .running.tasks import Task as Task, title as title
from .session import Session as Session
from .store.keys import sha256_of as sha256_of
from .training.batches import ResidentSet as ResidentSet, split_evenly as split_evenly
from .training.context import Run as Run
from .training.cropping import shifted as shifted
from .training.defenses import DefensePipeline as DefensePipeline, DefenseRun as DefenseRun
from .training.determinism import seeded as seeded
from .training.engine import DivergedError as DivergedError, Engine as Engine
from .training.normalized import (
    Normalized as Normalized,
    channel_statistics as channel_statistics,
    normalized as normalized,
)
from .training.optim import Stepper as Stepper
from .training.padding import reflect_pad as reflect_pad
from .training.recipe import PAPER_RECIPES as PAPER_RECIPES, QUICK_RECIPE as QUICK_RECIPE, Recipe as Recipe
from .training.schedules import cosine as cosine, learning_rate as learning_rate

__version__: str
__all__: list[str]
