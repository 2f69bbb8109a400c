"""Limited-memory BFGS for many problems at once: curvature pairs in compact form, preconditioner, line search.

Vectors are (B, N) float32 with N = K * M: K classes of M coordinates, of which the first `lead` are the widest axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

ACCEPT = (-0.1, 0.9)  # slope after an accepted step over the slope before it
TRIALS = 40


class Preconditioner:
    """Approximate inverse Hessians of B problems: per class the exact inverse on leading axes, a diagonal on the rest.

    Args:
        problems: B.
        classes: K.
        size: M, coordinates per class.
        lead: number of leading coordinates whose Hessian is inverted in full.
        centred: whether results sum to zero over the classes. A softmax does not change when all classes move by the
            same amount, so that only rounding would ever stop such a move.
        device: where tensors live.
    """

    def __init__(
        self, problems: int, classes: int, size: int, *, lead: int, centred: bool, device: torch.device
    ) -> None:
        self.lead, self.centred = lead, centred
        self.block = torch.zeros(problems, classes, lead, lead, device=device)
        self.tail = torch.zeros(problems, classes, size - lead, device=device)

    def keep(self, index: Tensor) -> None:
        """Keep only these problems."""
        self.block, self.tail = self.block[index], self.tail[index]

    def refresh(self, problem: int, scores: Tensor, curvature: Tensor, penalty: Tensor) -> None:
        """Rebuild the inverses of one problem.

        Args:
            problem: index of the problem.
            scores: (M, n) float32 coordinates of the samples.
            curvature: (K, n) float32 second derivatives of the mean loss in the logits.
            penalty: (M,) float64 second derivatives of the penalty.
        """
        head, rest = scores[: self.lead], scores[self.lead :]
        gram = torch.stack([(head * row) @ head.T for row in curvature]).double() + penalty[: self.lead].diag()
        own = gram.diagonal(dim1=-2, dim2=-1)
        # Padding columns get 1; the margin on the others is what a float32 Gram matrix can have lost.
        gram += torch.diag_embed(torch.where(own > 0, 1e-6 * own, 1.0))
        self.block[problem] = torch.cholesky_inverse(torch.linalg.cholesky(gram)).float()
        diagonal = curvature @ rest.square().T + penalty[self.lead :]
        self.tail[problem] = torch.where(diagonal > 0, 1 / diagonal, 0.0).float()

    def solve(self, vector: Tensor) -> Tensor:
        """Return the preconditioned vectors (B, N)."""
        parts = vector.view(len(vector), self.block.shape[1], -1)
        head = (parts[..., None, : self.lead] @ self.block)[..., 0, :]
        return self._joined(head, parts[..., self.lead :] * self.tail)

    def solve_many(self, problem: int, vectors: Tensor) -> Tensor:
        """Return the preconditioned vectors (m, N) of one problem."""
        parts = vectors.view(len(vectors), self.block.shape[1], -1)
        head = (parts[..., : self.lead].transpose(0, 1) @ self.block[problem]).transpose(0, 1)
        return self._joined(head, parts[..., self.lead :] * self.tail[problem])

    def _joined(self, head: Tensor, tail: Tensor) -> Tensor:
        whole = torch.cat([head, tail], -1)
        return (whole - whole.mean(1, keepdim=True) if self.centred else whole).flatten(1)


class History:
    """Curvature pairs of B problems (Byrd, Nocedal & Schnabel 1994, Mathematical Programming 63, equation 3.1).

    All problems fill their slots together; a problem that has no sound pair for a slot has zeros there. Pairs are
    scaled to s'y = 1 when they enter, which keeps float32 away from its limits as steps shrink.

    Args:
        problems: B.
        size: N.
        memory: the newest pairs that count.
        device: where tensors live.
    """

    def __init__(self, problems: int, size: int, memory: int, device: torch.device) -> None:
        room = 2 * memory
        self.memory, self.low, self.high = memory, 0, 0
        # A step and its preconditioned change of gradient are stored together, since every product needs both.
        self.pairs = torch.zeros(problems, room, 2, size, device=device)
        self.change = torch.zeros(problems, room, size, device=device)  # of the gradient of the loss, without penalty
        self.cross = torch.zeros(problems, room, room, dtype=torch.float64, device=device)  # s_i'y_j, i <= j
        self.inner = torch.zeros(problems, room, room, dtype=torch.float64, device=device)  # y_i'H0 y_j

    def __len__(self) -> int:
        return self.high - self.low

    def keep(self, index: Tensor) -> None:
        """Keep only these problems."""
        self.pairs, self.change = self.pairs[index], self.change[index]
        self.cross, self.inner = self.cross[index], self.inner[index]

    def forget(self, index: Tensor) -> None:
        """Drop every pair of these problems."""
        for store in (self.pairs, self.change, self.cross, self.inner):
            store[index] = 0

    def dots(self, vector: Tensor) -> Tensor:
        """Return products of every step and preconditioned change with a vector (B, N) of its problem: (B, m, 2)."""
        window = self.pairs[:, self.low : self.high].flatten(1, 2)
        return torch.bmm(vector[:, None], window.mT).view(len(vector), -1, 2)

    def push(self, step: Tensor, change: Tensor, full: Tensor, solved: Tensor, dots: Tensor) -> None:
        """Add a pair to every problem.

        Args:
            step: (B, N) change of the coefficients.
            change: (B, N) change of the gradient of the loss over the step.
            full: (B, N) change of the gradient of the objective, penalty included, over the step.
            solved: (B, N) `full`, preconditioned.
            dots: `dots(full)`.
        """
        if self.high == self.pairs.shape[1]:
            self._make_room()
        at, past = self.high, slice(self.low, self.high)
        curvature = (step.double() * full.double()).sum(1)
        sound = curvature > 1e-10 * step.norm(dim=1).double() * full.norm(dim=1).double()
        scale = torch.where(sound, curvature.clamp_min(1e-300).rsqrt(), 0.0)[:, None]
        self.pairs[:, at, 0], self.pairs[:, at, 1] = step * scale.float(), solved * scale.float()
        self.change[:, at] = change * scale.float()
        products = dots.double() * scale[:, :, None]
        self.cross[:, past, at] = products[..., 0]
        self.cross[:, at, at] = sound.double()
        self.inner[:, past, at] = self.inner[:, at, past] = products[..., 1]
        self.inner[:, at, at] = (full * solved).double().sum(1) * scale[:, 0].square()
        self.high += 1
        self.low = max(self.low, self.high - self.memory)

    def _make_room(self) -> None:
        count, window = len(self), slice(self.low, self.high)
        for store in (self.pairs, self.change):
            store[:, :count] = store[:, window].clone()
        for square in (self.cross, self.inner):
            square[:, :count, :count] = square[:, window, window].clone()
        self.low, self.high = 0, count

    def direction(self, solved: Tensor, dots: Tensor) -> Tensor:
        """Return minus the quasi-Newton step (B, N) for gradients given preconditioned and as `dots(gradient)`."""
        if not len(self):
            return -solved
        window = slice(self.low, self.high)
        cross, inner = self.cross[:, window, window], self.inner[:, window, window]
        own = cross.diagonal(dim1=-2, dim2=-1)
        upper = cross + torch.diag_embed((own == 0).double())  # 1 for an empty slot keeps the system solvable
        along, across = dots.double().unsqueeze(-1).unbind(2)
        first = torch.linalg.solve_triangular(upper, along, upper=True)
        second = torch.linalg.solve_triangular(upper.mT, own[..., None] * first + inner @ first - across, upper=False)
        weights = torch.cat([second, -first], -1).flatten(1).float()
        return -(solved + torch.bmm(weights[:, None], self.pairs[:, window].flatten(1, 2))[:, 0])

    def rebase(self, problem: int, penalty: Tensor, preconditioner: Preconditioner) -> None:
        """Adapt the pairs of one problem to a new penalty, second derivatives (N,), and preconditioner."""
        if not len(self):
            return
        window = slice(self.low, self.high)
        step = self.pairs[problem, window, 0]
        full = self.change[problem, window] + penalty * step
        solved = preconditioner.solve_many(problem, full)
        self.pairs[problem, window, 1] = solved
        self.cross[problem, window, window] = torch.triu((step @ full.mT).double())
        self.inner[problem, window, window] = (full @ solved.mT).double()


def line_search(slope_at: Callable[[Tensor], Tensor], slope: Tensor, *, first: Tensor, far: Tensor) -> Tensor:
    """Return step lengths (B,) along lines on which the objectives are convex; the last call of `slope_at` has them.

    The sign of the slope shows on which side of the minimum a trial is (approximate Wolfe conditions: Hager & Zhang
    2005, SIAM J. Optim. 16, equation 4.2), so that no objective is evaluated.

    Args:
        slope_at: step lengths (B,) -> slopes (B,).
        slope: (B,) slopes at the start, negative; a line with another slope keeps its first trial.
        first: (B,) first trial.
        far: (B,) length from which any step that goes down is accepted.
    """
    low, high = torch.zeros_like(slope), torch.full_like(slope, math.inf)
    at_low, at_high = slope, torch.zeros_like(slope)
    length = first
    for _ in range(TRIALS):
        here = slope_at(length)
        ratio = torch.where(slope < 0, here / slope, 0.0)
        over, under = ratio < ACCEPT[0], (ratio > ACCEPT[1]) & (length < far)
        if not (wrong := over | under).any():
            break
        high, at_high = torch.where(over, length, high), torch.where(over, here, at_high)
        low, at_low = torch.where(under, length, low), torch.where(under, here, at_low)
        gap = high - low
        secant = low - at_low * gap / (at_high - at_low)
        inside = torch.minimum(torch.maximum(secant, low + 0.1 * gap), high - 0.1 * gap)
        length = torch.where(wrong, torch.where(high.isinf(), 4 * length, inside), length)
    else:
        slope_at(length)
    return length
