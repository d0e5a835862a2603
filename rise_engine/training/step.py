"""One optimiser step of the whole method on a handful of pseudo-sequences (paper, Eq. 9)."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields

import torch
from torch import Tensor, nn

from rise_engine.config import RiseConfig
from rise_engine.method.losses import Criterion, LossTerms
from rise_engine.method.pseudo_labels import CascadeCounts
from rise_engine.method.supervised import supervised_losses
from rise_engine.method.unsupervised import unsupervised_losses
from rise_engine.pseudo_sequences.views import PseudoSequence
from rise_engine.training.distributed import Ranks, Share
from rise_engine.training.memory import Parts, RandomState, is_full
from rise_engine.training.optimiser import build_optimiser, learning_rate, set_learning_rate


@dataclass
class StepOutcome:
    """What one step did, as numbers; losses are weighted."""

    supervised: float = 0.0
    association: float = 0.0
    unsupervised: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 0.0
    gradient_norm: float = 0.0
    applied: bool = True
    """False when the gradients were not finite and the step was skipped."""
    cascades: list[CascadeCounts] = field(default_factory=list)
    """One a frame without labels."""
    accuracies: list[float] = field(default_factory=list)
    segmented: dict[int, tuple[str, list[int]]] = field(default_factory=dict)
    """By its place in the step, each labelled frame's name and which of its objects a prediction covers with mask
    IoU >= 0.5."""

    @property
    def total(self) -> float:
        """The value of Eq. 9."""
        return self.supervised + self.association + self.unsupervised

    @property
    def accuracy(self) -> float | None:
        """Share of known pairs that Eq. 3 tells apart, over the step's sequences that had any."""
        return sum(self.accuracies) / len(self.accuracies) if self.accuracies else None


def over_all(outcome: StepOutcome, ranks: Ranks) -> StepOutcome:
    """The outcome of the whole step, put together from those of all processes."""
    if ranks.alone:
        return outcome
    whole = StepOutcome()
    for own in (StepOutcome(**record) for record in ranks.gather(asdict(outcome))):
        whole.supervised += own.supervised
        whole.association += own.association
        whole.unsupervised += own.unsupervised
        for name, value in own.terms.items():
            whole.terms[name] = whole.terms.get(name, 0.0) + value
        whole.cascades += [CascadeCounts(**record) for record in asdict(own)["cascades"]]
        whole.accuracies += own.accuracies
        whole.segmented |= {int(place): (name, ids) for place, (name, ids) in own.segmented.items()}
    return whole


@dataclass
class _Numbers:
    """Numbers of the outcome that are still on the device: asking for each would hold it up each time."""

    names: list[str] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def add(self, name: str, value: Tensor) -> None:
        self.names.append(name)
        self.values.append(value.detach())

    def into(self, outcome: StepOutcome) -> None:
        """Adds everything up, with one transfer."""
        if not self.values:
            return
        for name, value in zip(self.names, torch.stack(self.values).tolist(), strict=True):
            if name in TERMS:
                outcome.terms[name] = outcome.terms.get(name, 0.0) + value
            else:
                setattr(outcome, name, getattr(outcome, name) + value)


TERMS = tuple(entry.name for entry in fields(LossTerms))


class TrainingStep:
    """The learner, its optional averaged teacher, and the optimiser; knows tensors, no project and no files.

    One of several processes, ``ranks``, is given all the step's sequences too, with None where another one has them.
    """

    def __init__(
        self, model: nn.Module, config: RiseConfig, *, device: torch.device, ranks: Ranks | None = None
    ) -> None:
        self.model = model.to(device).train()
        self.config = config
        self.device = device
        self.ranks = ranks or Ranks()
        self.ranks.send_from_first(self.model.state_dict().values())
        self.averaged = copy.deepcopy(self.model).requires_grad_(False) if config.pseudo_labels.ema else None
        self.optimiser = build_optimiser(self.model, config.optimiser)
        self.memory = Parts(config.loader.accumulate, device)
        self._criterion = Criterion(config.loss)

    @property
    def teacher(self) -> nn.Module:
        """Who makes the pseudo-labels: the averaged network, or the learner itself as in the paper."""
        return self.averaged if self.averaged is not None else self.model

    def parts(self, labelled: int, unlabelled: int) -> int:
        """How many parts so many frames of either kind are split into."""
        return self.memory.of(max(labelled, unlabelled))

    def learn(
        self, step: int, labelled: Sequence[PseudoSequence | None], unlabelled: Sequence[PseudoSequence | None]
    ) -> StepOutcome:
        """Learns from the sequences; gradients are accumulated over the parts that they are split into."""
        optimiser = self.config.optimiser
        rate = learning_rate(step, self.config.schedule.steps, optimiser)
        set_learning_rate(self.optimiser, rate)
        outcome = self.gradients(step, labelled, unlabelled)
        trainable = [tensor for tensor in self.model.parameters() if tensor.requires_grad]
        norm = nn.utils.clip_grad_norm_(trainable, optimiser.clip_norm)
        outcome.learning_rate, outcome.gradient_norm = rate, float(norm)
        outcome.applied = math.isfinite(outcome.gradient_norm)
        if outcome.applied:
            self.optimiser.step()
            self._average(step)
        self.optimiser.zero_grad(set_to_none=True)
        return outcome

    def gradients(
        self, step: int, labelled: Sequence[PseudoSequence | None], unlabelled: Sequence[PseudoSequence | None]
    ) -> StepOutcome:
        """Adds the step's gradients, of all processes, to the parameters without changing them.

        When the memory does not hold a part, the parts are halved and the step begins anew, as if they had been so from
        the start. Raises torch's error when a single frame is too much, or several processes would have to agree.
        """
        frames = max(len(labelled), len(unlabelled))
        random = RandomState(self.device)
        while True:
            try:
                return self._gradients(step, labelled, unlabelled)
            except RuntimeError as error:
                if not is_full(error) or not self.ranks.alone or not self.memory.double(frames):
                    raise
            # Not in the handler: what the attempt had computed is held by its error.
            self.optimiser.zero_grad(set_to_none=True)
            random.restore()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _gradients(
        self, step: int, labelled: Sequence[PseudoSequence | None], unlabelled: Sequence[PseudoSequence | None]
    ) -> StepOutcome:
        self.model.train()
        parts = self.parts(len(labelled), len(unlabelled))
        seed = self.config.schedule.seed
        outcome, numbers = StepOutcome(), _Numbers()
        own_matches = 0
        for part in range(parts):
            mine, weight = _here(labelled, part, parts), _weight(len(labelled), part, parts)
            if not mine:
                continue
            self.ranks.reseed(seed, step, part, self.ranks.rank // parts, 0)
            with self._precision():
                losses, matched = self._supervised(outcome, numbers, mine, weight, step, self.ranks.share(part, parts))
            # Each kind and part by itself, so that the memory need not hold what all have computed.
            _backward(losses)
            own_matches += matched
        matches = sum(self.ranks.gather(own_matches)) if self.config.loss.equal_objects and unlabelled else 0
        for part in range(parts):
            mine, weight = _here(unlabelled, part, parts), _weight(len(unlabelled), part, parts)
            if not mine:
                continue
            self.ranks.reseed(seed, step, part, self.ranks.rank // parts, 1)
            with self._precision():
                losses = self._unsupervised(
                    outcome, numbers, mine, weight, step, max(1.0, matches * weight), self.ranks.share(part, parts)
                )
            _backward(losses)
        numbers.into(outcome)
        self.ranks.add_gradients(tensor for tensor in self.model.parameters() if tensor.requires_grad)
        return over_all(outcome, self.ranks)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.optimiser.bf16)

    def _seed(self, step: int) -> int:
        return self.config.schedule.seed * 1_000_003 + step

    def _supervised(
        self,
        outcome: StepOutcome,
        numbers: _Numbers,
        found: dict[int, PseudoSequence],
        weight: float,
        step: int,
        share: Share,
    ) -> tuple[list[Tensor], int]:
        """The losses, and how many queries they matched; ``found`` are sequences by their place in the step."""
        result = supervised_losses(
            self.model,
            list(found.values()),
            self._criterion,
            self.config,
            device=self.device,
            seed=self._seed(step),
            share=share,
        )
        terms = result.terms * weight
        association = self.config.loss.association * result.association * weight
        numbers.add("supervised", terms.total)
        for (place, sequence), ids in zip(found.items(), result.segmented, strict=True):
            outcome.segmented[place] = sequence.name, ids
        _note(outcome, numbers, terms, association, result.accuracy)
        return [terms.total, association], result.matched

    def _unsupervised(
        self,
        outcome: StepOutcome,
        numbers: _Numbers,
        found: dict[int, PseudoSequence],
        weight: float,
        step: int,
        at_least: float,
        share: Share,
    ) -> list[Tensor]:
        result = unsupervised_losses(
            self.model,
            self.teacher,
            list(found.values()),
            self._criterion,
            self.config,
            step=step,
            device=self.device,
            seed=self._seed(step),
            at_least=at_least,
            share=share,
        )
        terms = result.terms * (self.config.loss.unsupervised * weight)
        association = self.config.loss.association * result.association * weight
        numbers.add("unsupervised", terms.total)
        outcome.cascades += [pseudo.counts for pseudo in result.pseudo_labels]
        _note(outcome, numbers, terms, association, result.accuracy)
        return [terms.total, association]

    def _average(self, step: int) -> None:
        """Moves the averaged teacher towards the learner, faster while there is little to average."""
        if self.averaged is None or self.config.pseudo_labels.ema is None:
            return
        decay = min(self.config.pseudo_labels.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            learner = itertools.chain(self.model.parameters(), self.model.buffers())
            averaged = itertools.chain(self.averaged.parameters(), self.averaged.buffers())
            for target, source in zip(averaged, learner, strict=True):
                if target.dtype.is_floating_point:
                    target.lerp_(source.detach(), 1 - decay)
                else:
                    target.copy_(source)


def _here(sequences: Sequence[PseudoSequence | None], part: int, parts: int) -> dict[int, PseudoSequence]:
    """A part's sequences that this process has, by their place in the step."""
    return {
        place: sequence for place, sequence in enumerate(sequences) if place % parts == part and sequence is not None
    }


def _weight(count: int, part: int, parts: int) -> float:
    """The share of a step's ``count`` frames of a kind that a part has: each frame counts alike, in whatever part."""
    return len(range(part, count, parts)) / count if count else 0.0


def _backward(losses: Sequence[Tensor]) -> None:
    torch.stack(list(losses)).sum().backward()


def _note(
    outcome: StepOutcome, numbers: _Numbers, terms: LossTerms, association: Tensor, accuracy: float | None
) -> None:
    numbers.add("association", association)
    for name in TERMS:
        numbers.add(name, getattr(terms, name))
    if accuracy is not None:
        outcome.accuracies.append(accuracy)
