"""Words that no command should take: (words, text that the answer must hold). Exit code 2 each."""

from __future__ import annotations

HUGE = "9" * 400
LONG = "x" * 20_000

RUN: list[tuple[list[str], str]] = [
    ([], "suite= is needed"),
    (["suite"], "no key=value word"),
    (["demo"], "no key=value word"),
    (["suite="], "has no value"),
    (["suite= "], "has no value"),
    (["suite=[]"], "suite= is needed"),
    (["suite=dmo"], "did you mean demo?"),
    (["suite=[/b]"], "no suite '/b'"),
    (["suite=[red]"], "no suite 'red'"),
    (["suite='[red]'"], "no suite '[red]'"),
    (["suite=:car:"], ":car:"),
    (["suite=../demo"], "no suite '../demo'"),
    (["suite=demo/../demo"], "no suite"),
    (["suite=demo.py"], "did you mean demo?"),
    (["suite=__init__"], "no suite"),
    (["suite=Demo"], "did you mean demo?"),
    (["suite=nothing*"], "no suite 'nothing*'"),
    (["suite=[demo,demmo]"], "no suite 'demmo'"),
    ([f"suite={LONG}"], "characters)"),
    (["suite=d\x1b[31memo"], "\\x1b"),
    (["suite=d\nemo"], "no suite"),
    (["suite=\udcff"], "no suite"),
    (["suite=日本"], "no suite"),
    (["suite=${suite}"], "cannot be resolved"),
    (["suite=${oc.env:NOWHERE_SET}"], "cannot be resolved"),
    (["suite=${"], "cannot be resolved"),
    (["suite=demo", "suite=demo"], "given twice"),
    (["suite=demo", "modles=all"], "did you mean models?"),
    (["suite=demo", "MODELS=all"], "no setting 'MODELS'"),
    (["suite=demo", "=x"], "no setting ''"),
    (["suite=demo", "="], "no setting ''"),
    (["suite=demo", "models==x"], "no model '=x'"),
    (["suite=demo", "settings=x"], "no setting 'settings'"),
    (["suite=demo", f"{LONG}=x"], "no setting"),
    (["suite=demo", "[/b]=x"], "[/b]"),
    (["suite=demo", "models="], "has no value"),
    (["suite=demo", "models=[]"], "at least one is needed"),
    (["suite=demo", "models=[,]"], "empty item"),
    (["suite=demo", "models=[tiny_mae"], "unbalanced bracket"),
    (["suite=demo", "models=tiny_mae]"], "unbalanced bracket"),
    (["suite=demo", "models='tiny_mae"], "unbalanced bracket or quote"),
    (["suite=demo", "models=[[tiny_mae]"], "unbalanced bracket"),
    (["suite=demo", "models=tiny_ma"], "did you mean tiny_mae?"),
    (["suite=demo", "models=[tiny_mae,[/b]]"], "[/b]"),
    (["suite=demo", "models=tiny_mae;id"], "did you mean tiny_mae?"),
    (["suite=demo", "models=$(id)"], "no model"),
    (["suite=demo", "models=origin:"], "no origin ''"),
    (["suite=demo", "models=origin:randm"], "did you mean random?"),
    (["suite=demo", "models=orign:random"], "did you mean origin?"),
    (["suite=demo", "models=objective:x"], "no objective 'x'"),
    (["suite=demo", "models=path:"], "names no architecture"),
    (["suite=demo", "models=path:x.pth"], "names no architecture"),
    (["suite=demo", "models=path:x.pth:"], "names no architecture"),
    (["suite=demo", "models=path:/nowhere/x.pth:tiny_mae"], "there is no file /nowhere/x.pth"),
    (["suite=demo", "models=path:/:tiny_mae"], "there is no file"),
    (["suite=demo", "models=path:[/b].pth:tiny_mae"], "[/b].pth"),
    (["suite=demo", "models=path:/etc/hostname:tiny_ma"], "did you mean tiny_mae?"),
    (["suite=demo", "models=embeddings:"], "embeddings:"),
    (["suite=demo", "models=embeddings:/nowhere.npz"], "there is no file /nowhere.npz"),
    (["suite=demo", "models=embeddings:" + "x" * 5000], "too long|there is no file"),
    (["suite=demo", "models=dofa_base", "download=false"], "dofa_base: no weights"),
    (["suite=demo", "models=presto"], "nothing to run on demo: presto"),
    (["suite=demo", "tasks="], "has no value"),
    (["suite=demo", "tasks=flod"], "did you mean flood?"),
    (["suite=demo", "tasks=[flood,[/b]]"], "[/b]"),
    (["suite=demo", "protocols=[]"], "at least one is needed"),
    (["suite=demo", "protocols=prob"], "did you mean probe?"),
    (["suite=demo", "protocols=contract"], "no protocol 'contract'"),
    (["suite=demo", "protocols=__init__"], "no protocol"),
    (["suite=demo", "protocols=../cli/run"], "no protocol"),
    (["suite=demo", "bands=s9"], "no band of demo 's9'"),
    (["suite=demo", "bands=s2.b99"], "no band of demo"),
    (["suite=demo", "absent=zeros"], "absent='zeros'"),
    (["suite=demo", "rgb_as=s1"], "rgb_as='s1'"),
    (["suite=demo", "layers=blck_1"], "did you mean block_1?"),
    (["suite=demo", "layers=block_9999"], "no layer"),
    (["suite=demo", "layers=block_0"], "no layer"),
    *(
        (["suite=demo", f"fractions={v}"], "fractions")
        for v in ("0", "-1", "10", "1.0001", "nan", "inf", "x", HUGE, "1e999")
    ),
    (["suite=demo", "fractions=[]"], "no labels to learn from"),
    (["suite=demo", "fractions=[0.1,nan]"], "fractions"),
    (["suite=demo", "fractions=50%"], "fractions"),
    *((["suite=demo", f"shots={v}"], "shots") for v in ("0", "-1", "1.5", "nan", "inf", "x", HUGE, str(10**20))),
    *(
        (["suite=demo", f"subsets={v}"], "subsets")
        for v in ("0", "-1", "1.5", "nan", "x", HUGE, str(10**20), "1001", "[1,2]")
    ),
    *(
        (["suite=demo", f"seeds={v}"], "seed")
        for v in ("-1", "1.5", "nan", "inf", "x", HUGE, str(2**32), "[0,x]", "true")
    ),
    (["suite=demo", "subsets=1000", "seeds=[" + ",".join(map(str, range(200))) + "]"], "runs per model and task"),
    *((["suite=demo", f"batch={v}"], "batch") for v in ("0", "-1", "2.5", "nan", HUGE, str(10**9), "[]", "[1,2]")),
    *((["suite=demo", f"workers={v}"], "workers") for v in ("0", "-1", "x", HUGE, str(10**6))),
    *((["suite=demo", f"devices={v}"], "devices") for v in ("0", "-2", "x", HUGE, str(10**6))),
    *(
        (["suite=demo", f"device={v}"], "device")
        for v in ("gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:99999", "cpu ,", "tpu", "CPU")
    ),
    (["suite=demo", "precision=fp16"], "precision='fp16'"),
    (["suite=demo", "storage=float64"], "storage='float64'"),
    *((["suite=demo", f"{k}=maybe"], f"{k}='maybe'") for k in ("download", "channels_last", "compile", "retry")),
    *((["suite=demo", f"{k}="], "has no value") for k in ("data", "weights", "results", "cache", "config", "entries")),
    *((["suite=demo", f"{k}=''"], "a path is needed") for k in ("data", "weights", "results", "cache")),
    *((["suite=demo", f"{k}=[a,b]"], k) for k in ("data", "weights", "results", "cache", "subsets")),
    (["suite=demo", "probe=1"], "no setting 'probe'"),
    (["suite=demo", "probe.=1"], "no name of a setting"),
    (["suite=demo", "probe..c=1"], "no name of a setting"),
    (["suite=demo", "probe.c.d=1"], "no setting of protocol probe 'c.d'"),
    (["suite=demo", "probe.x=1"], "no setting of protocol probe 'x'"),
    (["suite=demo", "prob.c=1"], "did you mean probe?"),
    (["suite=demo", "probe.c=x"], "c.0='x'"),
    *((["suite=demo", f"probe.c={v}"], "probe") for v in ("nan", "inf", "-1", "0", "[]", "[1,nan]")),
    *((["suite=demo", f"probe.alpha={v}"], "probe") for v in ("nan", "-inf", "-1", "[]")),
    *((["suite=demo", f"probe.steps={v}"], "probe") for v in ("0", "-1", HUGE, str(10**20), "nan")),
    *((["suite=demo", f"probe.batch={v}"], "probe") for v in ("0", "-1", HUGE)),
    *((["suite=demo", f"probe.pools={v}"], "pools") for v in ("men", "[]", "[mean,men]")),
    *((["suite=demo", f"probe.learning_rates={v}"], "probe") for v in ("nan", "-1", "[]", "0")),
    *((["suite=demo", f"knn.k={v}"], "knn") for v in ("0", "-1", "1.5", "nan", "[]", HUGE)),
    *(
        (
            ["suite=demo", "protocols=finetune", f"finetune.{word}"],
            "finetune|decoder|tuning|taps|loss|augment|fold over dates",
        )
        for word in (
            *(
                "decoders=lnear",
                "decoders=[fcn,x]",
                "tuning=half",
                "taps=lst",
                "loss=hinge",
                "augment=spin",
                "dates=sum",
            ),
            *("steps=0", "steps=-1", f"steps={HUGE}", "batch=0", "micro_batch=-1", "rank=0", "warmup=2", "warmup=nan"),
            *("learning_rates=[]", "learning_rates=nan", "learning_rates=-1", "learning_rates=0", "weight_decay=-1"),
            *(
                "layer_decay=0",
                "layer_decay=nan",
                "backbone_rate=0",
                "backbone_rate=inf",
                "evaluations=0",
                "patience=-1",
            ),
            *("head_share=1.5", "keep=x", "write=x", "checkpointing=2"),
        )
    ),
    *(
        (["suite=demo", "protocols=drift", f"drift.{word}"], "drift|split|controls|samples")
        for word in ("samples=0", "samples=-1", "split=tst", "controls=x", "rewind=x")
    ),
    *(
        (["suite=demo", "protocols=embed", f"embed.{word}"], "embed|split|sub-module|samples")
        for word in ("samples=0", "split=tst", "modules=qkw", "batch=0")
    ),
    (["suite=demo", "study=x"], "no study 'x'"),
    (["suite=demo", "study=[a,b]"], "no study"),
    (["suite=demo", "study=../x"], "no study"),
    (["suite=demo", "config=/nowhere.yaml"], "cannot be read"),
    (["suite=demo", "config=/"], "is a folder"),
    (["suite=demo", "config=/dev/zero"], "more than 100,000 bytes"),
    (["suite=demo", "config=" + "x" * 5000], "cannot be read"),
    (["suite=demo", "config=[a,b]"], "cannot be read"),
    (["suite=demo", "--dryy"], "did you mean --dry?"),
    (["suite=demo", "--json"], "no flag of geobench-run '--json'"),
    (["suite=demo", "--dry=true"], "no flag"),
    (["suite=demo", "-d"], "no flag"),
    (["suite=demo", "--"], "no flag"),
    (["suite=demo", "--suite=demo"], "no flag"),
    (["completion", "tcsh"], "no shell with completion 'tcsh'"),
    (["suite=eurosat", "data=/nowhere", "download=false"], "eurosat not found under /nowhere"),
    (["suite=eurosat", "data=/nowhere/[/b]", "download=false"], "/nowhere/[/b]"),
]

OTHERS: list[tuple[str, list[str], str]] = [
    *(
        ("list", words, text)
        for words, text in (
            (["modles"], "no listing 'modles'"),
            (["[/b]"], "[/b]"),
            (["models", "x"], "no listing 'x'"),
            (["model=tiny_ma"], "did you mean tiny_mae?"),
            (["model="], "has no value"),
            (["model=[a,b]"], "model="),
            (["models=tiny_ma"], "did you mean tiny_mae?"),
            (["suite=dmo"], "did you mean demo?"),
            (["suite=[a,b]"], "suite="),
            (["suite=demo", "--shw"], "did you mean --show?"),
            (["--show"], "--show draws a suite"),
            (["suite=demo", "--show", "split=trian"], "no split of demo 'trian'"),
            (["suite=demo", "--show", "bands=s9"], "no band of demo"),
            (["suite=demo", "--show", "data="], "has no value"),
            (["suite=eurosat", "--show", "data=/nowhere"], "eurosat not found"),
            (["suite=demo", "--show", "results=/dev/null"], "a file lies where a folder is needed"),
            (["weights=", "models"], "has no value"),
            (["probe.c=1"], "protocol with settings"),
            (["fractions=1"], "no setting 'fractions'"),
            (["entries=/nowhere", "models"], "/nowhere"),
            (["--dry"], "no flag of geobench-list"),
        )
    ),
    *(
        ("report", words, text)
        for words, text in (
            (["suite=demo", "results=/nowhere"], "no records below /nowhere"),
            (["results=/nowhere/[/b]"], "/nowhere/[/b]"),
            (["results="], "has no value"),
            (["results=''"], "a path is needed"),
            (["results=/dev/null"], "no records below /dev/null"),
            (["results=" + "x" * 5000], "no records|too long"),
            (["compare=x", "results=RESULTS"], "no numbers to compare with 'x'"),
            (["compare=", "results=RESULTS"], "has no value"),
            (["suite=x", "results=RESULTS"], "no suite with records 'x'"),
            (["suite=../demo", "results=RESULTS"], "no suite with records"),
            (["suite=[mine,[/b]]", "results=RESULTS"], "[/b]"),
            (["x", "results=RESULTS"], "no key=value word"),
            (["models=all", "results=RESULTS"], "no setting 'models'"),
            (["--dry"], "no flag of geobench-report"),
        )
    ),
    *(
        ("cache", words, text)
        for words, text in (
            (["lst"], "no cache action 'lst'"),
            (["ls", "gc"], "no cache action 'ls gc'"),
            (["[/b]"], "[/b]"),
            *(
                (["gc", f"keep={v}"], "keep=")
                for v in ("-1", "x", "nan", "inf", "1e9", "20XB", "-5GB", HUGE, "1.2.3", "[1,2]", "GB")
            ),
            (["gc", "keep="], "has no value"),
            (["ls", "cache="], "has no value"),
            (["ls", "cache=''"], "a path is needed"),
            (["ls", "kep=1"], "did you mean keep?"),
            (["gc", "--dry"], "no flag of geobench-cache"),
        )
    ),
    *(
        ("doctor", words, text)
        for words, text in (
            ([], "suite= is needed"),
            (["suite=dmo"], "did you mean demo?"),
            (["suite=[demo,eurosat]"], "one suite at a time"),
            (["suite=demo", "models=tiny_ma"], "did you mean tiny_mae?"),
            (["suite=demo", "bands=s9"], "no band of demo"),
            (["suite=demo", "tasks=flod"], "did you mean flood?"),
            (["suite=eurosat", "data=/nowhere"], "eurosat not found under /nowhere"),
            (["suite=demo", "study=decoders"], "no setting 'study'"),
            (["suite=demo", "subsets=nan"], "subsets"),
            (["suite=demo", "--dry"], "no flag of geobench-doctor"),
        )
    ),
    *(
        ("make", words, text)
        for words, text in (
            ([], "no recipe ''"),
            (["recipe="], "no recipe ''"),
            (["recipe=pretran"], "did you mean pretrain?"),
            (["recipe=../x"], "no recipe"),
            (["recipe=contract"], "no recipe"),
            (["recipe=[/b]"], "[/b]"),
            (["recipe=pretrain"], "model= is needed"),
            (["recipe=pretrain", "model=tiny_ma"], "tiny_mae"),
            (["recipe=pretrain", "model=dofa_base"], "dofa_base"),
            (["recipe=pretrain", "model=tiny_mae", "epochs=-1"], "epochs"),
            (["recipe=pretrain", "model=tiny_mae", "epochs=nan"], "epochs"),
            (["recipe=pretrain", "model=tiny_mae", f"seed={HUGE}"], "seed"),
            (["recipe=pretrain", "model=tiny_mae", "learning_rate=inf"], "learning_rate"),
            (["recipe=pretrain", "model=tiny_mae", "mae.hidden=2"], "hidden"),
            (["recipe=pretrain", "model=tiny_mae", "mae.x=2"], "x"),
            (["recipe=pretrain", "model=tiny_mae", "device=gpu"], "device"),
            (["recipe=pretrain", "model=tiny_mae", "device=cuda:77"], "device"),
            (["recipe=pretrain", "model=tiny_mae", "suite=dmo"], "did you mean demo?"),
            (["recipe=pretrain", "model=tiny_mae", "out="], "has no value"),
            (["recipe=pretrain", "recipe=pretrain", "model=tiny_mae"], "given twice"),
            (["recipe=pretrain", "model=tiny_mae", "--json"], "no flag of geobench-make"),
        )
    ),
]
