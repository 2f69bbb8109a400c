"""L2-regularised linear classifiers along a path of penalties: preconditioned L-BFGS, many problems in lockstep.

Four things make a whole path cheap where features are badly conditioned (spectra of frozen networks span 1e8):

* every problem is rotated into its own principal axes, which for n < D also leaves only n coordinates (exact: the
  solution lies in the span of the rows);
* the inverse Hessian starts from the exact per-class Hessian on the leading axes and its diagonal on the others;
* curvature pairs are kept from one penalty to the next: the loss part of a gradient change does not know the penalty,
  whose part is added back exactly;
* logits are updated along the search direction, so that a trial step costs no matrix product.

Products run in float32 on *changes* (of logits, of probabilities), everything they are added to is float64, and a
solution counts only after its gradient was recomputed in float64 in the coordinates of the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

Link = Literal["softmax", "sigmoid"]

MEMORY = 100  # curvature pairs
LEADING = 128  # axes whose Hessian is taken in full, a class
WOLFE = (-0.5, 0.9)  # slope at an accepted step over the slope at its start
TRIALS = 40
ALIGN = 16


@dataclass(frozen=True, kw_only=True)
class Path:
    """Solutions for P problems and C penalties.

    Attributes:
        weight: (P, C, K, D) float64.
        bias: (P, C, K) float64.
        gradient: (P, C) largest absolute entry of the objective's gradient, recomputed in float64.
        iterations: (P, C) int64.
    """

    weight: Tensor
    bias: Tensor
    gradient: Tensor
    iterations: Tensor


def probability(logits: Tensor, link: Link) -> Tensor:
    """Return probabilities of (..., K, n) logits, over the classes or each for itself."""
    return logits.softmax(-2) if link == "softmax" else logits.sigmoid()


def rotate(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis (P, D, R) of the row space of x (P, n, D), widest axis first, and x in it (P, n, R).

    R is min(n, D). Both float64; the basis is orthonormal to rounding whatever the spectrum (QR before the
    eigendecomposition where n < D, since eigenvectors of a Gram matrix would not be).
    """
    n, width = x.shape[1:]
    if width <= n:
        basis = torch.linalg.eigh(x.mT @ x)[1].flip(-1)
        return basis, x @ basis
    rows, triangle = torch.linalg.qr(x.mT)
    axes = torch.linalg.eigh(triangle @ triangle.mT)[1].flip(-1)
    return rows @ axes, triangle.mT @ axes


class _History:
    """Curvature pairs of B problems in compact form (Byrd, Nocedal & Schnabel 1994, Math. Program. 63, eq. 3.1).

    Slots are filled by all problems together; a problem without a pair for a slot has zeros there.
    """

    def __init__(self, problems: int, size: int, memory: int, device: torch.device) -> None:
        room = 2 * memory
        self.memory, self.lo, self.hi = memory, 0, 0
        # step and preconditioned gradient change, side by side since every product wants both
        self.pairs = torch.zeros(problems, room, 2, size, device=device)
        self.change = torch.zeros(problems, room, size, device=device)  # of the gradient of the loss alone
        self.cross = torch.zeros(problems, room, room, dtype=torch.float64, device=device)  # s_i'y_j
        self.inner = torch.zeros(problems, room, room, dtype=torch.float64, device=device)  # y_i'H0 y_j

    def keep(self, index: Tensor) -> None:
        """Keep only these problems."""
        self.pairs, self.change = self.pairs[index], self.change[index]
        self.cross, self.inner = self.cross[index], self.inner[index]

    def forget(self, index: Tensor) -> None:
        """Drop every pair of these problems."""
        for store in (self.pairs, self.change, self.cross, self.inner):
            store[index] = 0

    def dots(self, vector: Tensor) -> Tensor:
        """Return the products of every step and preconditioned change with a vector (B, N): (B, m, 2)."""
        window = self.pairs[:, self.lo : self.hi].flatten(1, 2)
        out = torch.stack([torch.mv(one, v) for one, v in zip(window, vector, strict=True)])
        return out.unflatten(1, (-1, 2))

    def push(self, step: Tensor, change: Tensor, full: Tensor, solved: Tensor, dots: Tensor) -> None:
        """Add the pair (step, full change of the gradient); `solved` is H0 full, `dots` are `self.dots(full)`."""
        if self.hi == self.pairs.shape[1]:
            lo, hi, m = self.lo, self.hi, self.hi - self.lo
            for store in (self.pairs, self.change):
                store[:, :m] = store[:, lo:hi].clone()
            for square in (self.cross, self.inner):
                square[:, :m, :m] = square[:, lo:hi, lo:hi].clone()
            self.lo, self.hi = 0, m
        at = self.hi
        curvature = (step.double() * full.double()).sum(1)
        sound = curvature > 1e-10 * step.norm(dim=1).double() * full.norm(dim=1).double()
        scale = torch.where(sound, curvature.clamp_min(1e-300).rsqrt(), 0.0)[:, None]
        small = scale.float()
        self.pairs[:, at, 0], self.pairs[:, at, 1] = step * small, solved * small
        self.change[:, at] = change * small
        past = dots.double() * scale[:, :, None]
        self.cross[:, self.lo : at, at] = past[..., 0]
        self.cross[:, at, at] = sound.double()
        self.inner[:, self.lo : at, at] = past[..., 1]
        self.inner[:, at, self.lo : at] = past[..., 1]
        self.inner[:, at, at] = ((full * solved).double().sum(1, keepdim=True) * scale.square())[:, 0]
        self.hi += 1
        self.lo = max(self.lo, self.hi - self.memory)

    def direction(self, solved: Tensor, dots: Tensor) -> Tensor:
        """Return minus the quasi-Newton step H g, where `solved` is H0 g and `dots` are `self.dots(g)`."""
        if self.hi == self.lo:
            return -solved
        window = slice(self.lo, self.hi)
        cross, inner = self.cross[:, window, window], self.inner[:, window, window]
        own = cross.diagonal(dim1=-2, dim2=-1)
        upper = cross + torch.diag_embed((own == 0).double())
        u, v = dots.double().unbind(-1)
        first = torch.linalg.solve_triangular(upper, u[..., None], upper=True)
        rest = own[..., None] * first + inner @ first - v[..., None]
        second = torch.linalg.solve_triangular(upper.mT, rest, upper=False)
        weights = torch.cat([second, -first], -1).flatten(1).float()
        pairs = self.pairs[:, window].flatten(1, 2)
        return -(solved + torch.bmm(weights[:, None], pairs)[:, 0])

    def rebase(self, index: Tensor, penalty: Tensor, solve) -> None:
        """Recompute what depends on the penalty and on H0 for these problems. `penalty` (b, N)."""
        if self.hi == self.lo:
            return
        window = slice(self.lo, self.hi)
        step = self.pairs[index, window, 0]
        full = self.change[index, window] + penalty[:, None] * step
        solved = solve(full)
        self.pairs[index, window, 1] = solved
        cross = torch.triu((step @ full.mT).double())
        self.cross[index, window, window] = cross
        self.inner[index, window, window] = (full @ solved.mT).double()


class _Preconditioner:
    """H0: inverse per-class Hessian on the leading axes, inverse diagonal on the rest."""

    def __init__(self, problems: int, classes: int, size: int, lead: int, device: torch.device) -> None:
        self.lead = lead
        self.block = torch.zeros(problems, classes, lead, lead, device=device)
        self.tail = torch.zeros(problems, classes, size - lead, device=device)

    def keep(self, index: Tensor) -> None:
        self.block, self.tail = self.block[index], self.tail[index]

    def refresh(self, index: Tensor, scores: Tensor, curvature: Tensor, penalty: Tensor) -> None:
        """scores (b,n,R) f32; curvature (b,K,n) f32 = p(1-p)/n; penalty (b,R)."""
        lead = self.lead
        head, rest = scores[:, :, :lead], scores[:, :, lead:]
        grams = [(head * curvature[:, k, :, None]).mT @ head for k in range(curvature.shape[1])]
        gram = torch.stack(grams, 1).double() + torch.diag_embed(penalty[:, None, :lead])
        own = gram.diagonal(dim1=-2, dim2=-1)
        # empty columns (padding) get 1, the others a margin for what float32 lost
        gram = gram + torch.diag_embed(torch.where(own > 0, 1e-6 * own, 1.0))
        self.block[index] = torch.cholesky_inverse(torch.linalg.cholesky(gram)).float()
        diagonal = curvature @ rest.square() + penalty[:, None, lead:]
        self.tail[index] = torch.where(diagonal > 0, 1 / diagonal, 0.0).float()

    def solve(self, vector: Tensor, index=None) -> Tensor:
        """vector (B, [m,] N)"""
        block, tail = (self.block, self.tail) if index is None else (self.block[index], self.tail[index])
        B, K = block.shape[:2]
        many = vector.dim() == 3
        v = vector.unflatten(-1, (K, -1))
        if many:
            head = (v[..., : self.lead].transpose(1, 2) @ block).transpose(1, 2)
            return torch.cat([head, v[..., self.lead :] * tail[:, None]], -1).flatten(-2)
        head = (v[..., None, : self.lead] @ block)[..., 0, :]
        return torch.cat([head, v[..., self.lead :] * tail], -1).flatten(-2)


def solve_path(x, target, penalties, *, link, tol, max_iter, memory=MEMORY, lead=LEADING, extrapolate=2, stats=None):
    """x (P,n,D); target (K,n) f64; penalties sequence (largest first)"""
    P, n, D = x.shape
    K = target.shape[0]
    dev = x.device
    basis, scores = rotate(x.double())
    R = basis.shape[2]
    size = -(-(R + 1) // ALIGN) * ALIGN
    U = torch.zeros(P, n, size, device=dev)
    U[:, :, 0] = 1
    U[:, :, 1 : R + 1] = scores
    del scores
    mask = torch.zeros(size, dtype=torch.float64, device=dev)
    mask[1 : R + 1] = 1
    f64 = dict(dtype=torch.float64, device=dev)
    C = len(penalties)
    pen = torch.tensor(penalties, **f64)
    out = Path(weight=torch.zeros(P, C, K, D, **f64), bias=torch.zeros(P, C, K, **f64),
        gradient=torch.full((P, C), float("inf"), **f64), iterations=torch.zeros(P, C, dtype=torch.int64))
    lead = min(lead + 1, size)
    hist = _History(P, K * size, memory, dev)
    pre = _Preconditioner(P, K, size, lead, dev)
    # state
    rows = torch.arange(P)  # which problem
    at = torch.zeros(P, dtype=torch.int64)
    prior = target.mean(1).clamp(1e-12)
    b0 = prior.log() if link == "softmax" else prior.logit()
    if link == "softmax": b0 = b0 - b0.mean()
    V = torch.zeros(P, K, size, **f64); V[:, :, 0] = b0
    z = b0[None, :, None].expand(P, K, n).clone()
    p = probability(z, link)
    g = ((p - target) / n) @ U.double()
    past = []  # per problem list of (V, z)
    past = [[] for _ in range(P)]
    its = torch.zeros(P, dtype=torch.int64)
    a = pen[0].expand(P).clone()
    bs = basis.float()
    pre.refresh(torch.arange(P), U, (p * (1 - p) / n).float(), a[:, None] * mask)
    full = g + a[:, None, None] * mask * V
    solved = pre.solve(full.flatten(1).float())
    dots = hist.dots(full.flatten(1).float()) if hist.hi else torch.zeros(P, 0, 2)
    ev = 0; nver = 0; ntrial = 0; nit = 0
    while len(rows):
        nit += 1
        B = len(rows)
        d = hist.direction(solved, dots).unflatten(1, (K, size))
        slope0 = (full * d).sum((1, 2))
        bad = slope0 > 0
        if bad.any():
            i = bad.nonzero()[:, 0]
            hist.forget(i); d[i] = -solved[i].unflatten(1, (K, size)); slope0[i] = (full[i] * d[i]).sum((1, 2))
            dots[i] = 0
            if stats is not None: stats['bad'] = stats.get('bad', 0) + len(i)
        zd = (d @ U.mT).double()
        dV = d.double()
        quad = a * (mask * dV * dV).sum((1, 2)); lin = a * (mask * dV * V).sum((1, 2))
        lo = torch.zeros(B, **f64); hi = torch.full((B,), float('inf'), **f64); slo = slope0.clone(); shi = torch.zeros(B, **f64)
        t = torch.ones(B, **f64)
        for trial in range(TRIALS):
            ntrial += 1
            zn = z + t[:, None, None] * zd
            pn = probability(zn, link)
            s = (zd * (pn - target)).sum((1, 2)) / n + lin + t * quad
            ratio = torch.where(slope0 < 0, s / slope0, 0.0)
            over = ratio < WOLFE[0]; under = ratio > WOLFE[1]
            if not (over | under).any(): break
            hi = torch.where(over, t, hi); shi = torch.where(over, s, shi)
            lo = torch.where(under, t, lo); slo = torch.where(under, s, slo)
            sec = lo - slo * (hi - lo) / (shi - slo)
            sec = torch.minimum(torch.maximum(sec, lo + 0.1 * (hi - lo)), hi - 0.1 * (hi - lo))
            t = torch.where(over | under, torch.where(hi.isinf(), 4 * t, sec), t)
        step = t[:, None, None] * dV
        dg = ((pn - p) / n).float() @ U
        V = V + step; g = g + dg; z, p = zn, pn
        new = g + a[:, None, None] * mask * V
        newf = new.flatten(1).float()
        nsolved = pre.solve(newf)
        ndots = hist.dots(newf)
        y = (new - full).flatten(1).float()
        st = step.flatten(1).float()
        zy = nsolved - solved
        hist.push(st, dg.flatten(1), y, zy, ndots - dots)
        # dots for the new pair
        last = hist.pairs[:, hist.hi - 1]
        extra = torch.stack([(last[:, 0] * newf).sum(1), (last[:, 1] * newf).sum(1)], -1)[:, None]
        dots = torch.cat([ndots, extra], 1)[:, -(hist.hi - hist.lo):]
        full, solved = new, nsolved
        its += 1
        # converged?
        norms = full.norm(dim=2).amax(1)
        cand = ((norms <= tol * R ** 0.5) | (its >= max_iter)).nonzero()[:, 0]
        if len(cand):
            orig = torch.maximum((full[cand, :, 1 : R + 1].float() @ bs[rows[cand]].mT).abs().amax((1, 2)), full[cand, :, 0].abs().amax(1))
            cand = cand[(orig <= 0.9 * tol) | (its[cand] >= max_iter)]
        moved = []
        for i in cand.tolist():
            r = int(rows[i]); nver += 1
            W = V[i, :, 1 : R + 1] @ basis[r].mT
            X = x[r].double()
            zi = W @ X.mT + V[i, :, :1]
            pi = probability(zi, link)
            res = (pi - target) / n
            go = res @ X
            gb = res.sum(1)
            gn = max((go + a[i] * W).abs().max().item(), gb.abs().max().item())
            z[i], p[i] = zi, pi
            g[i, :, 1 : R + 1] = go @ basis[r]; g[i, :, 0] = gb
            if gn <= tol or its[i] >= max_iter:
                c = int(at[i])
                out.weight[r, c] = W; out.bias[r, c] = V[i, :, 0]; out.gradient[r, c] = gn; out.iterations[r, c] = its[i]
                past[r] = [*past[r][-2:], (V[i].clone(), z[i].clone())]
                at[i] += 1; its[i] = 0
                if at[i] < C:
                    a[i] = pen[at[i]]
                    h = past[r]
                    co = None
                    if extrapolate >= 2 and len(h) == 3: co = (1, -3, 3)
                    elif extrapolate >= 1 and len(h) >= 2: co = (-1, 2)
                    if co:
                        V[i] = sum(k * v[0] for k, v in zip(co, h[-len(co):])); z[i] = sum(k * v[1] for k, v in zip(co, h[-len(co):]))
                        pp = probability(z[i], link)
                        g[i] += ((pp - p[i]) / n).float() @ U[i]
                        p[i] = pp
                    moved.append(i)
            elif stats is not None: stats['fail'] = stats.get('fail', 0) + 1
        if len(cand):
            full = g + a[:, None, None] * mask * V
            if moved:
                m = torch.tensor(moved)
                pre.refresh(m, U[m], (p[m] * (1 - p[m]) / n).float(), a[m, None] * mask)
                hist.rebase(m, (a[m, None] * mask).repeat(1, K).float(), lambda v: pre.solve(v, m))
            solved = pre.solve(full.flatten(1).float())
            dots = hist.dots(full.flatten(1).float())
            done = at >= C
            if done.any():
                k = (~done).nonzero()[:, 0]
                rows, at, its, a, V, z, p, g, U, full, solved, dots = (q[k] for q in (rows, at, its, a, V, z, p, g, U, full, solved, dots))
                hist.keep(k); pre.keep(k)
    if stats is not None: stats.update(verify=nver, trials=ntrial, rounds=nit)
    return out
