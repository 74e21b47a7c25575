"""The public names, and the modules they live in. Read by type checkers, and by ``__init__.py`` when it runs."""

from .api import craft as craft
from .api import plan as plan
from .api import run as run
from .crafting.bilevel import BiLevel as BiLevel
from .crafting.clustering import (
    Clusters as Clusters,
)
from .crafting.clustering import (
    cluster as cluster,
)
from .crafting.clustering import (
    clusters_of as clusters_of,
)
from .crafting.clustering import (
    extract_features as extract_features,
)
from .crafting.clustering import (
    nearest_centre as nearest_centre,
)
from .crafting.clustering import (
    predict_classes as predict_classes,
)
from .crafting.frozen import FrozenNetwork as FrozenNetwork
from .crafting.frozen import NetworkSurrogate as NetworkSurrogate
from .crafting.patterns import on_grid as on_grid
from .crafting.pgd import pgd as pgd
from .crafting.pgd import project as project
from .crafting.poisoner import CraftRun as CraftRun
from .crafting.poisoner import Perturbation as Perturbation
from .crafting.resize import Mode as Mode
from .crafting.resize import resize as resize
from .crafting.surrogate import FittedSurrogate as FittedSurrogate
from .crafting.surrogate import Surrogate as Surrogate
from .data.budget import LEVELS as LEVELS
from .data.budget import Budget as Budget
from .data.budget import blocks as blocks
from .data.budget import sizes as sizes
from .data.framed import FramedDataset as FramedDataset
from .data.framed import Split as Split
from .data.framed import SplitName as SplitName
from .data.framing import Framing as Framing
from .data.framing import assemble as assemble
from .data.images import Picture as Picture
from .data.imageset import ImageSet as ImageSet
from .data.imageset import LabelSet as LabelSet
from .data.params import DatasetParams as DatasetParams
from .data.selection import balanced_indices as balanced_indices
from .data.selection import stratified_split as stratified_split
from .errors import (
    ContractError as ContractError,
)
from .errors import (
    DataError as DataError,
)
from .errors import (
    PluginError as PluginError,
)
from .errors import (
    StoreError as StoreError,
)
from .errors import (
    UcbenchError as UcbenchError,
)
from .errors import (
    UsageError as UsageError,
)
from .errors import (
    did_you_mean as did_you_mean,
)
from .exploit.labels import LabelRun as LabelRun
from .leaderboard.entries import Entry as Entry
from .leaderboard.layout import sections as sections
from .metrics.features import cosine_gap as cosine_gap
from .metrics.information import (
    Labels as Labels,
)
from .metrics.information import (
    agreement as agreement,
)
from .metrics.information import (
    best_matching as best_matching,
)
from .metrics.information import (
    contingency as contingency,
)
from .metrics.metric import MetricContext as MetricContext
from .numerics import Numerics as Numerics
from .numerics import available_cores as available_cores
from .numerics import versions as versions
from .plugins.grammar import parse_chain as parse_chain
from .plugins.hookspecs import hookimpl as hookimpl
from .plugins.params import Params as Params
from .plugins.registry import Component as Component
from .plugins.registry import installed as installed
from .plugins.registry import trying as trying
from .plugins.specs import (
    CellEvent as CellEvent,
)
from .plugins.specs import (
    ComponentSpec as ComponentSpec,
)
from .plugins.specs import (
    DatasetSpec as DatasetSpec,
)
from .plugins.specs import (
    DefenseSpec as DefenseSpec,
)
from .plugins.specs import (
    ExecutorSpec as ExecutorSpec,
)
from .plugins.specs import (
    ExporterSpec as ExporterSpec,
)
from .plugins.specs import (
    LabelingSpec as LabelingSpec,
)
from .plugins.specs import (
    MetricSpec as MetricSpec,
)
from .plugins.specs import (
    Norm as Norm,
)
from .plugins.specs import (
    PoisonerSpec as PoisonerSpec,
)
from .plugins.specs import (
    SurrogateSpec as SurrogateSpec,
)
from .plugins.specs import (
    VictimSpec as VictimSpec,
)
from .results.records import Record as Record
from .running.compute import compute as compute
from .running.compute import failed as failed
from .running.executors.dispatcher import Dispatcher as Dispatcher
from .running.executors.serial import OnDone as OnDone
from .running.executors.worker import (
    JobRunner as JobRunner,
)
from .running.executors.worker import (
    Reply as Reply,
)
from .running.executors.worker import (
    Request as Request,
)
from .running.executors.worker import (
    Worker as Worker,
)
from .running.executors.worker import (
    WorkerError as WorkerError,
)
from .running.tasks import Task as Task
from .running.tasks import title as title
from .session import Session as Session
from .store.keys import sha256_of as sha256_of
from .training.batches import ResidentSet as ResidentSet
from .training.batches import split_evenly as split_evenly
from .training.context import Run as Run
from .training.cropping import shifted as shifted
from .training.defenses import DefensePipeline as DefensePipeline
from .training.defenses import DefenseRun as DefenseRun
from .training.determinism import seeded as seeded
from .training.engine import DivergedError as DivergedError
from .training.engine import Engine as Engine
from .training.normalized import (
    Normalized as Normalized,
)
from .training.normalized import (
    channel_statistics as channel_statistics,
)
from .training.normalized import (
    normalized as normalized,
)
from .training.optim import Stepper as Stepper
from .training.padding import reflect_pad as reflect_pad
from .training.recipe import PAPER_RECIPES as PAPER_RECIPES
from .training.recipe import QUICK_RECIPE as QUICK_RECIPE
from .training.recipe import Recipe as Recipe
from .training.recipe import cosine as cosine
from .training.recipe import learning_rate as learning_rate

__version__: str
__all__: list[str]
