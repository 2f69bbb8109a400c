"""L2-regularised linear classifiers along a path of penalties, many problems in lockstep.

Five things make a whole path cheap where features are badly conditioned (spectra of frozen networks span 1e8):

* every problem is rotated into its own principal axes, which for n < D also leaves only n coordinates (exact: the
  solution lies in the span of the rows);
* L-BFGS starts from the exact per-class Hessian on the leading axes and its diagonal on the others;
* curvature pairs are kept from one penalty to the next: the loss part of a gradient change does not depend on the
  penalty, whose part is added back exactly;
* the first direction at a new penalty is the last change of the solution along the path;
* logits are updated along the search direction, so that a trial step costs no matrix product.

Matrix products are computed in float32 and only on *changes* (of coefficients, of probabilities); the values to which
they are added are float64. A solution is accepted only after its gradient was recomputed in float64 in the coordinates
of the caller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

from bench.probes.lbfgs import History, Preconditioner, line_search
from bench.probes.threads import each

Link = Literal["softmax", "sigmoid"]

MEMORY = 15  # curvature pairs
LEADING = 128  # axes, bias included, whose Hessian is inverted in full; fewer where there are few samples
ALIGN = 16  # coordinates are padded to a multiple of this: matrix products run at full speed
REACH = 10.0  # largest change of a logit that a first trial step may make
FAR = 1e4  # largest change of a logit that any step may make
BATCH_LOGITS = 60_000  # logits of the problems solved together; more would not fit in the processor cache
SPLIT_LOGITS = 50_000  # logits from which a second thread saves time
BATCH_BYTES = 1 << 30  # memory of the problems solved together


@dataclass(frozen=True, kw_only=True)
class Path:
    """Solutions for P problems and C penalties.

    Attributes:
        weight: (P, C, K, D) float64.
        bias: (P, C, K) float64.
        gradient: (P, C) float64, largest absolute entry of the objective's gradient.
        iterations: (P, C) int64.
    """

    weight: Tensor
    bias: Tensor
    gradient: Tensor
    iterations: Tensor


def solve_path(x: Tensor, target: Tensor, penalties: Sequence[float], *, link: Link, tol: float, max_iter: int) -> Path:
    """Return the minimisers of ``mean loss + penalty / 2 * |W|^2`` for every problem and penalty, bias free.

    Args:
        x: (P, n, D) features.
        target: (K, n) float64, 0..1; every class must have both positive and negative samples.
        penalties: from the largest down.
        link: ``softmax`` for one loss over the classes, ``sigmoid`` for the sum of one loss per class.
        tol: largest absolute entry of the gradient at which a problem is solved.
        max_iter: iterations per penalty.
    """
    problems, n, width = x.shape
    classes = target.shape[0]
    size = _padded(min(n, width))
    curved = 2 * MEMORY * (12 * classes * size + 32 * MEMORY) + 4 * classes * LEADING**2
    bytes_each = 16 * n * size + 8 * width * size + 80 * classes * n + curved
    count = math.ceil(problems / max(1, min(BATCH_LOGITS // (classes * n), BATCH_BYTES // bytes_each)))
    threads = torch.get_num_threads()
    if problems * classes * n >= SPLIT_LOGITS and x.device.type == "cpu":
        count = min(problems, math.ceil(count / threads) * threads)

    def sweep(part: Tensor) -> Path:
        return _Sweep(part, target, penalties, link=link, tol=tol, max_iter=max_iter).run()

    paths = each(sweep, x.tensor_split(count), x.device)
    return Path(**{f.name: torch.cat([getattr(path, f.name) for path in paths]) for f in fields(Path)})


def rotate(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis (D, R) of the row space of x (n, D), widest axis first, and x in it (n, R).

    R is min(n, D); both are float64. The basis is orthonormal to rounding error for every spectrum: where n < D it is
    computed by a QR decomposition, since scaled eigenvectors of a Gram matrix would lose orthogonality.
    """
    if x.shape[1] <= x.shape[0]:
        basis = torch.linalg.eigh(x.mT @ x)[1].flip(-1)
        return basis, x @ basis
    rows, triangle = torch.linalg.qr(x.mT)
    axes = torch.linalg.eigh(triangle @ triangle.mT)[1].flip(-1)
    return rows @ axes, triangle.mT @ axes


def probability(logits: Tensor, link: Link) -> Tensor:
    """Return probabilities of logits (..., K, n)."""
    return logits.softmax(-2) if link == "softmax" else logits.sigmoid()


def _padded(rank: int) -> int:
    return -(-(rank + 1) // ALIGN) * ALIGN


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.bmm(a.flatten(1)[:, None], b.flatten(1)[:, :, None])[:, 0, 0]


@dataclass(kw_only=True)
class _State:
    """State of the B problems still running, each at its own penalty. Coordinates: bias, axes, padding.

    Attributes:
        problem: (B,) index of the problem.
        place: (B,) index of its current penalty.
        count: (B,) iterations at that penalty.
        scores: (B, n, M) float32, samples in coordinates.
        columns: (B, M, n) float32, the same transposed: products from either side run on rows.
        penalty: (B, 1, M) float64, 0 for bias and padding.
        coefficient: (B, K, M) float64.
        before: (B, K, M) float64, solution for the previous penalty.
        course: (B, K, M) float64, change of the solution over the last step along the path.
        logits: (B, K, n) float64.
        residual: (B, K, n) float64, probability minus target.
        loss_gradient: (B, K, M) float64.
        gradient: (B, K, M) float64, penalty included.
        solved: (B, K * M) float32, `gradient` preconditioned.
        dots: (B, m, 2) float32, `gradient` with the history.
        fresh: (B,) whether it has just moved to its penalty and has a `course`.
    """

    problem: Tensor
    place: Tensor
    count: Tensor
    scores: Tensor
    columns: Tensor
    penalty: Tensor
    coefficient: Tensor
    before: Tensor
    course: Tensor
    logits: Tensor
    residual: Tensor
    loss_gradient: Tensor
    gradient: Tensor
    solved: Tensor
    dots: Tensor
    fresh: Tensor

    def keep(self, index: Tensor) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[index])


class _Sweep:
    """Solver of one batch of problems, from the first penalty of the path to the last."""

    def __init__(
        self, x: Tensor, target: Tensor, penalties: Sequence[float], *, link: Link, tol: float, max_iter: int
    ) -> None:
        self.x, self.target, self.link, self.tol, self.max_iter = x, target, link, tol, max_iter
        problems, self.n, width = x.shape
        classes, device = target.shape[0], x.device
        self.rank = min(self.n, width)
        size = _padded(self.rank)
        self.axes = slice(1, self.rank + 1)
        self.basis = torch.empty(problems, width, self.rank, dtype=torch.float64, device=device)
        scores = torch.zeros(problems, self.n, size, device=device)
        scores[:, :, 0] = 1
        for i, features in enumerate(x):
            self.basis[i], scores[i, :, self.axes] = rotate(features.double())
        strength = torch.tensor(penalties, dtype=torch.float64, device=device)
        self.penalties = strength.new_zeros(len(penalties), 1, size)
        self.penalties[:, :, self.axes] = strength[:, None, None]
        gaps = strength.log().diff()
        self.ahead = (gaps[1:] / gaps[:-1]).tolist()  # next gap between penalties over the previous one
        self.path = Path(
            weight=strength.new_zeros(problems, len(penalties), classes, width),
            bias=strength.new_zeros(problems, len(penalties), classes),
            gradient=strength.new_full((problems, len(penalties)), math.inf),
            iterations=torch.zeros(problems, len(penalties), dtype=torch.int64, device=device),
        )
        self.history = History(problems, classes * size, MEMORY, device)
        self.preconditioner = Preconditioner(
            problems,
            classes,
            size,
            lead=min(LEADING, size, max(size // 3, self.n // 4)),
            centred=link == "softmax",
            device=device,
        )
        self._start(scores)

    def _start(self, scores: Tensor) -> None:
        problems, n, size = scores.shape
        classes, device = self.target.shape[0], scores.device
        prior = self.target.mean(1)
        bias = prior.log() - prior.log().mean() if self.link == "softmax" else prior.logit()
        coefficient = torch.zeros(problems, classes, size, dtype=torch.float64, device=device)
        coefficient[:, :, 0] = bias
        logits = bias[None, :, None].expand(problems, classes, n).clone()
        residual = probability(logits, self.link) - self.target
        loss_gradient = self._centred(residual.float() @ scores) / n
        zeros = torch.zeros(problems, dtype=torch.int64, device=device)
        self.state = _State(
            problem=torch.arange(problems, device=device),
            place=zeros,
            count=zeros.clone(),
            scores=scores,
            columns=scores.mT.contiguous(),
            penalty=self.penalties[zeros],
            coefficient=coefficient,
            before=coefficient.clone(),
            course=torch.zeros_like(coefficient),
            logits=logits,
            residual=residual,
            loss_gradient=loss_gradient,
            gradient=loss_gradient,
            solved=loss_gradient.flatten(1).float(),
            dots=torch.zeros(problems, 0, 2, device=device),
            fresh=torch.zeros(problems, dtype=torch.bool, device=device),
        )
        for i in range(problems):
            self._adapt(i)
        self._aim()

    def run(self) -> Path:
        """Return the path of every problem."""
        while len(self.state.problem):
            self._step()
            self._settle()
        return self.path

    def _centred(self, vector: Tensor) -> Tensor:
        """Return (B, K, M) float64; with a softmax less the class mean, a rounding error without effect."""
        exact = vector.double()
        return exact - exact.mean(1, keepdim=True) if self.link == "softmax" else exact

    def _aim(self) -> None:
        """Recompute gradient, preconditioned gradient and products from coefficients and loss gradient."""
        state = self.state
        state.gradient = torch.addcmul(state.loss_gradient, state.penalty, state.coefficient)
        flat = state.gradient.flatten(1).float()
        state.solved = self.preconditioner.solve(flat)
        state.dots = self.history.dots(flat)

    def _adapt(self, i: int) -> None:
        """Rebuild preconditioner and history of a problem for its current penalty."""
        state = self.state
        chance = state.residual[i] + self.target
        curvature = (chance * (1 - chance) / self.n).float()
        penalty = state.penalty[i, 0]
        self.preconditioner.refresh(i, state.columns[i], curvature, penalty)
        self.history.rebase(i, penalty.float().repeat(len(chance)), self.preconditioner)

    def _direction(self) -> Tensor:
        state = self.state
        direction = self.history.direction(state.solved, state.dots).view_as(state.coefficient)
        uphill = (~((state.gradient * direction).sum((1, 2)) <= 0)).nonzero()[:, 0]
        if uphill.numel():  # rounding errors spoilt the direction: restart from the preconditioner alone
            self.history.forget(uphill)
            state.dots[uphill] = 0
            direction[uphill] = -state.solved.view_as(direction)[uphill]
        for i in state.fresh.nonzero()[:, 0].tolist():
            course = self.ahead[int(state.place[i]) - 2] * state.course[i]
            if float((state.gradient[i] * course).sum()) < 0:
                direction[i] = course.float()
        return direction

    def _step(self) -> None:
        """Move every problem along its direction and add the change of gradient to the history."""
        state = self.state
        along = self._centred(self._direction())
        shift = along.float() @ state.columns
        reach = shift.flatten(1).norm(math.inf, dim=1).double()
        change = shift.double()
        slope = (state.gradient * along).sum((1, 2))
        square = (state.penalty * along.square()).sum((1, 2))
        length, state.logits, gain = self._search(change, reach, slope, square)
        step = length[:, None, None] * along
        moved = self._centred(gain.float() @ state.scores) / self.n
        state.coefficient = state.coefficient + step
        state.residual = state.residual + gain
        state.loss_gradient = state.loss_gradient + moved
        state.count = state.count + 1
        state.fresh = torch.zeros_like(state.fresh)
        gradient, solved, dots = state.gradient, state.solved, state.dots
        self._aim()
        full = (state.gradient - gradient).flatten(1).float()
        small = step.flatten(1).float(), moved.flatten(1).float()
        self.history.push(*small, full, state.solved - solved, state.dots - dots)
        newest = self.history.pairs[:, self.history.high - 1] @ state.gradient.flatten(1).float()[:, :, None]
        state.dots = torch.cat([state.dots, newest.mT], 1)[:, -len(self.history) :]

    def _search(self, change: Tensor, reach: Tensor, slope: Tensor, square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return step lengths (B,), the logits after the step, and the change of the residuals over it.

        Args:
            change: (B, K, n) float64, change of the logits per unit of step length.
            reach: (B,) largest absolute entry of `change`.
            slope: (B,) slope of the objective at the start.
            square: (B,) second derivative of the penalty along the line.
        """
        state = self.state
        chance = state.residual + self.target
        logits, gain = state.logits, torch.zeros_like(chance)

        def slope_at(length: Tensor) -> Tensor:
            nonlocal logits, gain
            logits = torch.addcmul(state.logits, length[:, None, None], change)
            gain = probability(logits, self.link) - chance
            return slope + _dot(change, gain) / self.n + length * square

        reach = reach.clamp_min(1e-30)
        length = line_search(slope_at, slope, first=(REACH / reach).clamp_max(1.0), far=FAR / reach)
        return length, logits, gain

    def _settle(self) -> None:
        """Move problems whose gradient, in float64 and in the caller's axes, is small enough to the next penalty."""
        state = self.state
        spent = state.count >= self.max_iter
        # The largest entry in the caller's axes is at most the norm here, and seldom less than an eighth of it.
        near = (state.gradient.norm(dim=2).amax(1) <= 8 * self.tol) | spent
        ready = [i for i in near.nonzero()[:, 0].tolist() if spent[i] or self._largest(i) <= 0.9 * self.tol]
        if not ready:
            return
        solved = [i for i in ready if self._verify(i) <= self.tol or spent[i]]
        moved = [i for i in solved if self._advance(i)]
        for i in moved:
            self._adapt(i)
        self._aim()
        if len(moved) < len(solved):
            index = (state.place < len(self.penalties)).nonzero()[:, 0]
            for part in (state, self.history, self.preconditioner):
                part.keep(index)

    def _largest(self, i: int) -> float:
        """Return the largest absolute entry of the stored gradient of a problem, in the caller's axes."""
        gradient = self.state.gradient[i]
        rotated = gradient[:, self.axes] @ self.basis[int(self.state.problem[i])].mT
        return max(float(rotated.abs().max()), float(gradient[:, 0].abs().max()))

    def _verify(self, i: int) -> float:
        """Recompute and return a problem's largest absolute gradient entry; store its corrected solution."""
        state = self.state
        problem, place = int(state.problem[i]), int(state.place[i])
        x, basis = self.x[problem].double(), self.basis[problem]
        weight = state.coefficient[i, :, self.axes] @ basis.mT
        state.logits[i] = weight @ x.mT + state.coefficient[i, :, :1]
        state.residual[i] = probability(state.logits[i], self.link) - self.target
        loss_gradient = state.residual[i] @ x / self.n
        offset = state.residual[i].mean(1)
        state.loss_gradient[i, :, self.axes] = loss_gradient @ basis
        state.loss_gradient[i, :, 0] = offset
        full = loss_gradient + self.penalties[place, 0, 1] * weight
        largest = max(float(full.abs().max()), float(offset.abs().max()))
        self.path.weight[problem, place] = weight
        self.path.bias[problem, place] = state.coefficient[i, :, 0]
        self.path.gradient[problem, place] = largest
        self.path.iterations[problem, place] = state.count[i]
        return largest

    def _advance(self, i: int) -> bool:
        """Move a problem to its next penalty and return True; return False after the last penalty."""
        state = self.state
        state.place[i] += 1
        state.count[i] = 0
        place = int(state.place[i])
        if place == len(self.penalties):
            return False
        state.penalty[i] = self.penalties[place]
        state.fresh[i] = place > 1
        state.course[i] = state.coefficient[i] - state.before[i]
        state.before[i] = state.coefficient[i]
        return True
