"""Do decoder, taps and tuning matter as much as the model? Model x decoder x taps x tuning x label fraction x seed.

The question is H3 of the transfer study (arXiv 2606.13896): its case studies on PASTIS and Sen1Floods11 cross frozen
and tuned backbones with 10 and 100 % of the labels and three decoders: UPerNet, a light multi-scale one, and a single
level. The report answers with variance components of the score, their intervals, and score against cost.
"""

from __future__ import annotations

from bench.config import Study

STUDY = Study(
    words={
        "protocols": ["probe", "finetune"],
        "fractions": [0.1, 1.0],
        "subsets": 1,
        "seeds": [0, 1, 2],
        "finetune": {
            "decoders": ["fcn", "light", "upernet"],
            "tuning": ["frozen", "full"],
            "taps": ["last", "quarters"],
        },
    },
    demo={
        "models": ["tiny_mae", "tiny_croma"],
        "tasks": ["flood"],
        "protocols": ["finetune"],
        "fractions": [0.1, 1.0],
        "subsets": 1,
        "seeds": [0, 1, 2],
        "finetune": {
            "decoders": ["fcn", "light"],
            "tuning": ["frozen", "full"],
            "steps": 40,
            "batch": 8,
            "evaluations": 2,
            "learning_rates": [3e-3],
        },
    },
)
