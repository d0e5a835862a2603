"""One optimiser step of the whole method (paper, Sec. 3.4 and Eq. 9): losses, gradients, update, averaged teacher."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn

from rise_engine.config import RiseConfig
from rise_engine.method.batch import BatchTotals, at_least_one
from rise_engine.method.objective import TotalLoss, total_loss
from rise_engine.method.supervised import supervised_losses
from rise_engine.method.unsupervised import unsupervised_losses
from rise_engine.pseudo_sequences.views import PseudoSequence
from rise_engine.training.distributed import Ranks
from rise_engine.training.memory import MicroBatches, RandomState, is_full
from rise_engine.training.optimiser import build_optimiser, learning_rate, set_learning_rate
from rise_engine.training.step_outcome import LossValues, StepOutcome, outcome_from_record, sum_outcomes

StepSequences = Sequence[PseudoSequence | None]
"""All sequences of one kind in a step; None where another process has the frame."""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Frames of one kind whose gradients are computed together.

    ``sequences`` are those that this process has, by their position in the step. ``frames`` is the size of the
    micro-batch over all processes, ``share`` its share of the step's frames of this kind: every frame has the same
    weight, whatever the size of its micro-batch.
    """

    index: int
    sequences: dict[int, PseudoSequence]
    frames: int
    share: float


def split_step(sequences: StepSequences, micro_batches: int) -> list[MicroBatch]:
    """The micro-batches of one kind of frame, without those of which this process has no frame."""
    found = []
    for index in range(micro_batches):
        positions = range(index, len(sequences), micro_batches)
        here = {position: sequence for position in positions if (sequence := sequences[position]) is not None}
        if here:
            found.append(MicroBatch(index, here, len(positions), len(positions) / len(sequences)))
    return found


class TrainingStep:
    """The student, its optional averaged teacher, and the optimiser; independent of projects and files.

    With several processes, ``ranks``, each is given the sequences of its own frames.
    """

    def __init__(
        self, model: nn.Module, config: RiseConfig, *, device: torch.device, ranks: Ranks | None = None
    ) -> None:
        self.model = model.to(device).train()
        self.config = config
        self.device = device
        self.ranks = ranks or Ranks()
        self.ranks.broadcast(self.model.state_dict().values())
        self.averaged = copy.deepcopy(self.model).requires_grad_(False) if config.pseudo_labels.ema else None
        self.optimiser = build_optimiser(self.model, config.optimiser)
        self.memory = MicroBatches(config.loader.accumulate, device)

    @property
    def teacher(self) -> nn.Module:
        """The network that makes the pseudo-labels: the averaged one, or the student itself as in the paper."""
        return self.averaged if self.averaged is not None else self.model

    def micro_batches(self, labelled: int, unlabelled: int) -> int:
        """The number of micro-batches that so many frames of each kind are split into."""
        return self.memory.count(max(labelled, unlabelled))

    def learn(self, step: int, labelled: StepSequences, unlabelled: StepSequences) -> StepOutcome:
        """One optimiser step on the sequences, with gradients accumulated over the micro-batches."""
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

    def gradients(self, step: int, labelled: StepSequences, unlabelled: StepSequences) -> StepOutcome:
        """Adds the step's gradients, of all processes, to the parameters without changing the parameters.

        When a micro-batch does not fit into memory, the micro-batches are halved and the step is repeated with the same
        random numbers. Raises torch's error when a single frame does not fit, or with several processes.
        """
        frames = max(len(labelled), len(unlabelled))
        random = RandomState(self.device)
        while True:
            try:
                return self._gradients(step, labelled, unlabelled)
            except RuntimeError as error:
                if not is_full(error) or not self.ranks.alone or not self.memory.halve(frames):
                    raise
            # Outside the handler, where the error no longer holds what the attempt computed.
            self.optimiser.zero_grad(set_to_none=True)
            random.restore()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _gradients(self, step: int, labelled: StepSequences, unlabelled: StepSequences) -> StepOutcome:
        self.model.train()
        count = self.micro_batches(len(labelled), len(unlabelled))
        outcome, values = StepOutcome(), LossValues()
        matched = 0
        # One backward pass per micro-batch, so that memory holds the activations of one only.
        for micro_batch in split_step(labelled, count):
            self._reseed(step, micro_batch, count, kind=0)
            with self._precision():
                loss, queries = self._supervised(outcome, micro_batch, step, self._totals(micro_batch, count))
            values.add(loss, labelled=True)
            loss.value.backward()
            matched += queries
        if self.config.loss.equal_objects and unlabelled:
            (matched,) = self.ranks.total([matched])
        else:
            matched = 0
        for micro_batch in split_step(unlabelled, count):
            self._reseed(step, micro_batch, count, kind=1)
            totals = self._totals(micro_batch, count, at_least=matched * micro_batch.share)
            with self._precision():
                loss = self._unsupervised(outcome, micro_batch, step, totals)
            values.add(loss, labelled=False)
            loss.value.backward()
        values.add_to(outcome)
        self.ranks.sum_gradients(tensor for tensor in self.model.parameters() if tensor.requires_grad)
        if self.ranks.alone:
            return outcome
        return sum_outcomes([outcome_from_record(record) for record in self.ranks.gather(asdict(outcome))])

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.optimiser.bf16)

    def _seed(self, step: int) -> int:
        return self.config.schedule.seed * 1_000_003 + step

    def _reseed(self, step: int, micro_batch: MicroBatch, count: int, *, kind: int) -> None:
        self.ranks.reseed(self.config.schedule.seed, step, micro_batch.index, self.ranks.rank // count, kind)

    def _totals(self, micro_batch: MicroBatch, count: int, *, at_least: float = 0.0) -> BatchTotals:
        """What the losses of a micro-batch are normalised by, over all processes that share it.

        They are divided by ``at_least`` where fewer queries are matched. This is the only place where processes
        exchange numbers for a loss.
        """
        totals = BatchTotals.of(list(micro_batch.sequences.values()))
        shared = self.ranks.shared(micro_batch.index, count)
        height, width = totals.size if shared is None else shared.largest(totals.size)

        def divisors(matched: Sequence[int]) -> list[float]:
            summed = matched if shared is None else shared.total(matched)
            return [max(at_least, least) for least in at_least_one(summed)]

        return BatchTotals(frames=micro_batch.frames, size=(height, width), divisors=divisors)

    def _supervised(
        self, outcome: StepOutcome, micro_batch: MicroBatch, step: int, totals: BatchTotals
    ) -> tuple[TotalLoss, int]:
        """Eq. 9 of labelled frames, and how many queries were matched."""
        result = supervised_losses(
            self.model,
            list(micro_batch.sequences.values()),
            self.config,
            device=self.device,
            seed=self._seed(step),
            totals=totals,
        )
        for (position, sequence), ids in zip(micro_batch.sequences.items(), result.segmented, strict=True):
            outcome.segmented[position] = sequence.name, ids
        if result.accuracy is not None:
            outcome.accuracies.append(result.accuracy)
        loss = total_loss(result.terms, result.association, self.config.loss, labelled=True, share=micro_batch.share)
        return loss, result.matched

    def _unsupervised(self, outcome: StepOutcome, micro_batch: MicroBatch, step: int, totals: BatchTotals) -> TotalLoss:
        """Eq. 9 of unlabelled frames."""
        result = unsupervised_losses(
            self.model,
            self.teacher,
            list(micro_batch.sequences.values()),
            self.config,
            step=step,
            device=self.device,
            seed=self._seed(step),
            totals=totals,
        )
        outcome.cascades += [pseudo.counts for pseudo in result.pseudo_labels]
        if result.accuracy is not None:
            outcome.accuracies.append(result.accuracy)
        return total_loss(result.terms, result.association, self.config.loss, labelled=False, share=micro_batch.share)

    def _average(self, step: int) -> None:
        """Moves the averaged teacher towards the student; faster in the first steps."""
        if self.averaged is None or self.config.pseudo_labels.ema is None:
            return
        decay = min(self.config.pseudo_labels.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            student = itertools.chain(self.model.parameters(), self.model.buffers())
            averaged = itertools.chain(self.averaged.parameters(), self.averaged.buffers())
            for target, source in zip(averaged, student, strict=True):
                if target.dtype.is_floating_point:
                    target.lerp_(source.detach(), 1 - decay)
                else:
                    target.copy_(source)
