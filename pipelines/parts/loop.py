"""The one training loop: steps, checkpoints, resume, logs, pictures on the way. Knows no recipe and no family.

All chance is a pure function of seed and step (parts/chance), the learning rate too (parts/rates); what is left is in
a checkpoint (parts/state). A training that was killed goes on to the very bits it would have had.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from pipelines.core import checkpoints, wishes
from pipelines.core.errors import BadInput, Cancelled, LostLease, Problem
from pipelines.core.models import out_of_memory
from pipelines.core.requests.train import Training
from pipelines.core.runs import Run
from pipelines.parts import optimizers, rates, sheets
from pipelines.parts.chance import generator
from pipelines.parts.curves import Curves
from pipelines.parts.ladder import OutOfMemory
from pipelines.parts.lessons import At, Look, Recipe
from pipelines.parts.state import State, running_mean

BAD_STEPS = 3
"""Steps in a row without a finite loss that are passed over; at one more it stops."""
EXPLODED = 20.0
"""A loss so many times what it began with is no use either, finite or not. Nothing learned is about 1."""
SMOOTH = 0.97
"""Share of the smoothed loss that stays from step to step."""
TRIED = 3
"""Steps that an estimate takes: the first is slower, the others are timed."""
READ_EVERY = 10
"""On a GPU the numbers of so many steps are read at once, so that it need not wait for the CPU."""
VIEW = "@"
"""What stands before a view in the log, where samples stand by their prompts."""
PEOPLE_S = 0.25
"""How often somebody who waits may go in between, and how long a pause sleeps."""


class Diverged(Problem):
    """The loss is no number any more."""

    code = "diverged"


@dataclass
class _Progress:
    """What a checkpoint notes beside its tensors."""

    step: int = 0
    bad: int = 0
    """Bad steps in a row, just now."""
    first: float | None = None
    """The loss of the first step."""
    smoothed: float | None = None
    best: tuple[float, int] | None = None
    """The best score of a checkpoint, and its step."""
    seconds: float = 0.0

    def facts(self) -> dict[str, Any]:
        return {**self.__dict__, "best": list(self.best) if self.best else None}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "_Progress":
        best = facts["best"]
        kept = {name: facts[name] for name in ("step", "bad", "first", "smoothed", "seconds")}
        return cls(**kept, best=(float(best[0]), int(best[1])) if best else None)


def length(request: Training, rows: int, ranks: int = 1) -> int:
    """Steps of a training over so many pictures."""
    if request.max_train_steps is not None:
        return request.max_train_steps
    batch = request.train_batch_size * request.gradient_accumulation_steps * ranks
    return max(1, (request.num_train_epochs or 1) * math.ceil(rows / batch))


def precision(request: Training, device: torch.device) -> str:
    """The number format to compute in. Raises BadInput for one the device has not."""
    if request.mixed_precision == "fp16" and device.type != "cuda":
        raise BadInput("mixed_precision fp16 needs a GPU: choose no on the CPU", "mixed_precision")
    if request.mixed_precision is not None:
        return request.mixed_precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "no"


def fit(recipe: Recipe, request: Training, rows: int, run: Run, device: torch.device) -> dict[str, Any]:
    """Train over `rows` pictures to the end, from the newest whole checkpoint of the run; what it comes to.

    Raises Diverged (the last good checkpoint is then the product), Cancelled (saved first), and what the recipe raises.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=False)  # one process trains one after the other
    here: AbstractContextManager[Any] = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    with here:
        accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=precision(request, device))
        _share(run, accelerator)
        training = _Training(recipe, request, rows, run, accelerator)
        try:
            return training.estimate() if request.estimate else training.go()
        except Exception as error:
            if not out_of_memory(error):
                raise
            step = training.progress.step
    # Outside the except: the error holds every tensor of the frames it came through.
    raise OutOfMemory(
        f"step {step + 1} does not fit into the memory of {device}: choose a train_batch_size below"
        f" {request.train_batch_size} with more gradient_accumulation_steps, gradient_checkpointing, or a smaller"
        " resolution; what is saved stays, and resume goes on from there"
    )


def _share(run: Run, accelerator: Any) -> None:
    """All processes of a training look into the folder of the one that answers."""
    if accelerator.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        told = [str(run.folder)]
        broadcast_object_list(told)
        run.folder = Path(told[0])


class _Training:
    def __init__(self, recipe: Recipe, request: Training, rows: int, run: Run, accelerator: Any) -> None:
        self.recipe, self.request, self.run, self.accelerator = recipe, request, run, accelerator
        self.rank, self.ranks = int(accelerator.process_index), int(accelerator.num_processes)
        self.steps = length(request, rows, self.ranks)
        self.home = run.folder / "checkpoints"
        self.parameters = [one for group in recipe.groups for one in group.parameters]
        chosen = optimizers.make(request.optimizer, recipe.groups, request.adam_weight_decay)
        self.rates = [group["lr"] for group in chosen.optimizer.param_groups]
        self.optimizer: Any = accelerator.prepare(chosen.optimizer)
        self.notes = [chosen.note] if chosen.note else []
        mean = running_mean(self.parameters, request.ema_decay) if request.use_ema else None
        self.state = State(chosen.optimizer, mean, accelerator.scaler)
        # torch's own AdamW passes over a step by itself where a flag on the device says so: nobody need wait for it
        self.flagged = request.optimizer == "adamw" and accelerator.scaler is None
        self.progress = _Progress()
        self.unread: list[tuple[int, float, list[str], Tensor]] = []
        self.looked = (-1, Look())
        """The step at which it was looked at last, and what was seen."""
        self.begun: int | None = None
        self.people_at = 0.0
        self.here = 0
        """Steps that this process took, and since when."""
        self.since = time.perf_counter()

    # -- the whole

    def go(self) -> dict[str, Any]:
        self._take_up()
        self.curves = Curves(self.run.folder / "tensorboard", self.progress.step) if self.rank == 0 else None
        try:
            self.since = time.perf_counter()
            while self.progress.step < self.steps:
                self._between()
                self._step()
                self._after()
            self._read()
        finally:
            if self.curves:
                self.curves.close()
        return self._result(self._product())

    def estimate(self) -> dict[str, Any]:
        """A few real steps: how long they take and how much memory; nothing is saved."""
        seconds = []
        for number in range(TRIED):
            self.run.tick(number, TRIED, f"trying step {number + 1} of {TRIED}", force=True)
            began = time.perf_counter()
            self._step()
            self.unread[-1][3].tolist()  # waits for the device
            seconds.append(time.perf_counter() - began)
        step = sum(seconds[1:]) / (TRIED - 1)
        return {
            "steps": self.steps,
            "seconds_a_step": step,
            "seconds": seconds[0] + step * (self.steps - 1),
            "memory_bytes": self._memory(),
            "device": str(self.accelerator.device),
            "notes": self.notes,
        }

    def _memory(self) -> int:
        """The most it took of a GPU, or what this process takes now of the machine."""
        if self.accelerator.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated())
        return int(psutil.Process().memory_info().rss)

    def _take_up(self) -> None:
        found, damaged = checkpoints.newest(self.home)
        for sentence in damaged:
            self.run.log(note=sentence)
        if found is not None:
            self.recipe.before(found.step)
            self.recipe.load(self.state.read(found.folder, found.facts))
            self.progress = _Progress.of(found.facts)
        # what a process that died logged after its last checkpoint is done, and logged, once more
        self.run.rewind(lambda line: line.get("step", 0) <= self.progress.step)

    # -- one step

    def _step(self) -> None:
        request, step = self.request, self.progress.step
        micros = request.gradient_accumulation_steps
        factor = rates.factor(request.lr_scheduler, step, self.steps, request.lr_warmup_steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.recipe.before(step)
        self.optimizer.zero_grad()
        sums: dict[str, Tensor] = {}
        for micro in range(micros):
            at = At(step, micro, micros, self.rank, self.ranks)
            with self._chance(at), self.accelerator.autocast():
                terms = self.recipe.loss(at)
            self.accelerator.backward(torch.stack([one.float() for one in terms.values()]).sum() / micros)
            for name, one in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=one.device)) + one.detach().float() / micros
        self.recipe.hold_back()
        losses = self._mean_of(torch.stack(list(sums.values())))
        if self.ranks > 1:
            for one in self.parameters:
                one.grad = self._mean_of(torch.zeros_like(one) if one.grad is None else one.grad)
        norm = self.accelerator.clip_grad_norm_(self.parameters, request.max_grad_norm)
        self._take(torch.isfinite(losses).all() & torch.isfinite(norm))
        numbers = torch.cat([losses, torch.as_tensor(norm, device=losses.device).float().view(1)])
        self.unread.append((step, self.rates[0] * factor, list(sums), numbers))

    def _take(self, good: Tensor) -> None:
        """The optimiser's step; one that would write what is no number changes nothing."""
        if self.flagged:
            self.state.optimizer.found_inf = (~good).float()
            self.optimizer.step()
        elif self.accelerator.scaler is not None or bool(good):  # a scaler looks for itself
            self.optimizer.step()
        if self.state.mean is not None:
            self.state.mean.step(self.parameters)

    @contextmanager
    def _chance(self, at: At) -> Iterator[None]:
        """What is left out at random (dropout) draws from torch's own chance: that, too, begins at the step."""
        device = self.accelerator.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(generator(self.request.seed, at.batch, "dropout", at.rank).initial_seed())
            yield

    def _mean_of(self, tensor: Tensor) -> Tensor:
        """Over all processes."""
        return tensor if self.ranks == 1 else self.accelerator.reduce(tensor, reduction="mean")

    # -- between steps

    def _between(self) -> None:
        """What people want. Whatever ends the training here, all of it so far is saved first."""
        stopped: Exception | None = None
        if self.rank == 0:
            try:
                self._people()
            except LostLease:  # somebody else trains on: nothing more is written
                raise
            except Exception as error:
                stopped = error
        if self.ranks > 1:
            from accelerate.utils import broadcast_object_list

            told = [stopped is not None]
            broadcast_object_list(told)
            stopped = stopped or (Cancelled(self.run.id) if told[0] else None)
        if stopped is not None:
            self._save()
            if isinstance(stopped, Cancelled) and self.progress.step:
                self._product()
            raise stopped

    def _people(self) -> None:
        stretch = self.progress.step // self.request.checkpointing_steps
        if stretch != self.begun:
            self.run.begin(stretch)
            self.begun = stretch
        if wishes.made(self.run.folder, "save"):
            self._save()
            wishes.drop(self.run.folder, "save")
        if wishes.made(self.run.folder, "pause"):
            self._save()
            while wishes.made(self.run.folder, "pause"):
                self._give_way()
                self.run.tick(self.progress.step, self.steps, "it is paused", force=True)
                time.sleep(PEOPLE_S)
            self.since, self.here = time.perf_counter(), 0
        if time.perf_counter() - self.people_at > PEOPLE_S:
            self._give_way()
            self.people_at = time.perf_counter()
        step, steps = self.progress.step, self.steps
        if self.here < 2:
            self.run.tick(step, steps, f"step {step} of {steps}")
        else:
            left = duration((steps - step) * (time.perf_counter() - self.since) / self.here)
            self.run.tick(step, steps, f"step {step} of {steps}, {left} left")

    def _give_way(self) -> None:
        with self.recipe.aside():
            self.run.give_way()

    def _after(self) -> None:
        progress, request = self.progress, self.request
        progress.step += 1
        self.here += 1
        if len(self.unread) >= (READ_EVERY if self.accelerator.device.type == "cuda" else 1):
            self._read()
        due = progress.step % request.checkpointing_steps == 0 or progress.step == self.steps
        if due if request.validation_steps is None else progress.step % request.validation_steps == 0:
            self._look()
        if due:
            self._save()

    def _read(self) -> None:
        """Numbers of the steps since the last time, to the log. Raises Diverged."""
        unread, self.unread = self.unread, []
        progress = self.progress
        for step, rate, names, tensor in unread:
            *losses, norm = tensor.tolist()
            total = sum(losses)
            if progress.first is None and math.isfinite(total):
                progress.first = total
            # while a scaler looks for its scale, gradients that overflow are its own affair
            searching = self.accelerator.scaler is not None and self.accelerator.scaler.get_scale() > 1
            usable = math.isfinite(total) and (math.isfinite(norm) or searching)
            bad = not usable or total > EXPLODED * max(1.0, progress.first or 0.0)
            progress.bad = progress.bad + 1 if bad else 0
            if not bad:
                before = total if progress.smoothed is None else progress.smoothed
                progress.smoothed = SMOOTH * before + (1 - SMOOTH) * total
            numbers = {"loss": total, **dict(zip(names, losses, strict=True))} if len(names) > 1 else {"loss": total}
            self._tell(step + 1, {**numbers, "learning_rate": rate, "grad_norm": norm})
            if progress.bad > BAD_STEPS:
                self._give_up(step + 1, total, norm)

    def _tell(self, step: int, numbers: Mapping[str, float]) -> None:
        shown = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        self.run.log(step=step, **shown)
        if self.curves:
            self.curves.note(step, numbers)

    def _give_up(self, step: int, total: float, norm: float) -> None:
        """Ends it with the last good checkpoint as its product."""
        limit = self.request.learning_rate
        found, _ = checkpoints.newest(self.home)
        if found is None:
            raise Diverged(
                f"the training went astray at step {step} (loss {total:.3g}, gradient {norm:.3g}) before anything was"
                f" saved: start again with a learning_rate below {limit:g}"
            )
        self.recipe.load(self.state.read(found.folder, found.facts))
        self._product()
        raise Diverged(
            f"the training went astray at step {step} (loss {total:.3g}, gradient {norm:.3g}): what it had learned by"
            f" step {found.step} is kept; start again with a learning_rate below {limit:g}"
        )

    # -- what stays

    def _look(self) -> None:
        if self.rank:
            return
        step = self.progress.step

        def tick(note: str) -> None:
            self.run.tick(step, self.steps, f"step {step}: {note}")

        with self._as_it_will_be():
            look = self.recipe.look(step, tick)
        self.looked = (step, look)
        files: dict[str, list[str]] = {}
        shown = {**look.pictures, **{f"{VIEW}{name}": some for name, some in look.views.items()}}
        for place, (prompt, pictures) in enumerate(shown.items()):
            for number, picture in enumerate(pictures):
                file = f"samples/{step:06d}/{place:02d}-{number:02d}.png"
                files.setdefault(prompt, []).append(self.run.keep_picture(file, picture))
                if self.curves:
                    self.curves.show(step, f"samples/{place:02d}-{number:02d}", picture)
        numbers = {**look.facts, **({} if look.held_out is None else {"held_out": look.held_out})}
        self.run.log(step=step, samples=files, **numbers)
        if self.curves:
            self.curves.note(step, numbers)
        if made := [picture for pictures in look.pictures.values() for picture in pictures]:
            self.run.tick(step, self.steps, preview=sheets.contact(made), force=True)

    def _save(self) -> None:
        """A checkpoint of this step. None of weights that are no numbers, and none in the middle of bad steps."""
        self._read()
        progress = self.progress
        if self.rank or progress.bad or not progress.step:
            return
        if not optimizers.finite(self.parameters):
            self._give_up(progress.step, math.nan, math.nan)
        score = progress.smoothed
        if self.recipe.scored:  # two kinds of score do not compare
            step, look = self.looked
            score = look.held_out if step == progress.step else None
        if score is not None and (progress.best is None or score < progress.best[0]):
            progress.best = (score, progress.step)
        facts = {**progress.facts(), "score": score, **self.state.facts()}
        checkpoints.save(
            self.home, progress.step, facts, lambda folder: self.state.write(folder, self.recipe.tensors())
        )
        best = progress.best[1] if progress.best else None
        checkpoints.prune(self.home, self.request.checkpoints_total_limit, best)
        stretch = (progress.step - 1) // self.request.checkpointing_steps
        self.run.commit(stretch, {"step": progress.step, "loss": progress.smoothed})
        self.begun = None if progress.step % self.request.checkpointing_steps == 0 else self.begun
        self.run.tick(progress.step, self.steps, f"saved at step {progress.step}", force=True)

    def _product(self) -> list[str]:
        if self.rank:
            return []
        with self._as_it_will_be():
            return list(self.recipe.write(self.run.folder / "weights"))

    @contextmanager
    def _as_it_will_be(self) -> Iterator[None]:
        """With the running mean in the place of the weights, where one is kept: that is what is shown and saved."""
        mean = self.state.mean
        if mean is None:
            yield
            return
        mean.store(self.parameters)
        mean.copy_to(self.parameters)
        try:
            yield
        finally:
            mean.restore(self.parameters)

    def _result(self, written: list[str]) -> dict[str, Any]:
        progress = self.progress
        return {
            "steps": progress.step,
            "processes": self.ranks,
            "memory_bytes": self._memory(),
            "loss": progress.smoothed,
            "best": None if progress.best is None else {"score": progress.best[0], "step": progress.best[1]},
            "files": [f"weights/{name}" for name in written],
            "notes": self.notes,
        }


def duration(seconds: float) -> str:
    """A time as a person says it: `40 s`, `12 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
