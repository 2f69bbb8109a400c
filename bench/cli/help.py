"""The text behind ``--help`` of each command, and shell completion."""

from __future__ import annotations

from bench.catalogue import suites
from bench.config import RunConfig
from bench.core import lookup

_RUN = """\
geobench-run: probe and fine-tune a set of models on a benchmark suite, with intervals, controls and provenance.

  geobench-run suite=demo                                    embedded data and models, a minute
  geobench-run suite=eurosat_rgb models=[galileo_nano,galileo_nano.random,image_stats] data=DIR weights=DIR
  geobench-run suite=sen1floods11 models=all --dry           what would run, what is stored, what is refused and why

Words (key=value; lists as [a,b] or a,b; * in names):
  suite=       a file in suites/ (geobench-list suites), several, or a group: suite=[a,b], suite=core, suite=eurosat*;
               a file geobench_suites.py with SUITE in the working folder is one more
  models=      names, globs, all, origin:random, objective:multimodal                   [all]
               path:FILE:ENTRY: your weights in the network of an entry; embeddings:FILE: your image vectors, by id;
               a file geobench_models.py with ENTRIES in the working folder is one more family
               all: every entry whose weights can be had, the random twin of each, the weight-free controls
  tasks=       tasks of the suite                                                       [all of them]
  protocols=   see geobench-list protocols                                              [probe,knn]
  bands=       bands or sensors of the suite: s1, s2, s2.b04                            [the suite's default]
  absent=      stand-in for bands the suite lacks, where a model accepts it: zero, mean, nearest    [the model's way]
  rgb_as=      s2 lets photographs stand for Sentinel-2's red, green and blue            [not]
  layers=      layers to probe: embedding, block_3, block_*, last                       [all]
  fractions=   shares of train and validation labels: [0.01,0.1,1]                      [1]
  shots=       few-shot subsets, of so many samples a class: [1,5,10,20]
  subsets=     nested, stratified subsets drawn a fraction below 1                      [5]
  seeds=       seeds of random init, probe init and batch order          [0; finetune 0,1,2]
  data=        folder with the suites' data                                             [data]
  weights=     folder looked in first for weights                                       [cache, then download]
  results=     folder for records, tables and figures                                   [results]
  cache=       folder for features and downloads                [$GEOBENCH_CACHE or ~/.cache/geobench]
  download=    fetch missing data and weights                                           [true]
  device=      auto, cpu, cuda, cuda:1, mps (never part of a result's identity)         [auto]
  devices=     processes that fine-tune together, one a device                          [1]
  precision=   fp32 or bf16 (autocast); part of a result's identity                     [fp32]
  batch= workers= storage= retry= channels_last= compile=                  [32, 2, float16, true, false, false]
  config=      a YAML file of these words; words on the command line win
  study=       a named cross of settings; what you say goes before what it says: study=decoders suite=demo
  probe.c= probe.pools= ...   settings of a protocol, under its name
  finetune.decoders=[linear,upernet]  finetune.tuning=[frozen,lora,full]  finetune.taps=[last,quarters]  finetune.steps=

Flags: --dry (plan only), --help, --version, completion bash|zsh.
A run that is stored is not run again; a killed run goes on where it stopped; a failed one is tried again.
Exit code: 0 all done, 1 some runs failed (listed), 2 bad request.
"""

HELP = {
    "geobench-run": _RUN,
    "geobench-list": """\
geobench-list: what there is.

  geobench-list models|suites|groups|protocols|decoders|studies|recipes [--json|--markdown]
  geobench-list settings|recipe_settings|metrics|units [--json|--markdown]
  geobench-list models=[origin:pretrained,tiny_*]   some of them
  geobench-list model=dofa_base         the whole card of a model
  geobench-list suite=sen1floods11      the facts of a suite
  geobench-list suite=sen1floods11 --show data=DIR [bands=] [split=train]
                                        contact sheets below results/<suite>: images, targets, classes, values
Words: weights= cache= (where weights are looked for).
""",
    "geobench-report": """\
geobench-report: tables and figures again from the records alone, byte for byte; needs no GPU and no data.

  geobench-report [suite=NAME|suite=[a,b]] [compare=published] [results=results] [--json]
""",
    "geobench-cache": """\
geobench-cache: what is stored.

  geobench-cache ls [--json]            the feature sets in the cache
  geobench-cache verify [seal=true]     everything in the cache, and every record, read in full and compared with its
                                        checksum; exit 1 if something is damaged. seal=true adds checksums to records
                                        that carry none.
  geobench-cache gc [keep=20GB]         remove what is damaged or left over, then the least recently used feature sets
                                        beyond keep=; what a running process reads stays
Words: cache= (the folder), results= (the records).
""",
    "geobench-doctor": """\
geobench-doctor: before a long run, each model's input contract beside what the suite really gives.

  geobench-doctor suite=NAME [models=...] [bands=...] [data=DIR] [weights=DIR] [--json]
  geobench-doctor suite=NAME --audit [tasks=...] [bands=...] [data=DIR]      reads every file, lists every fault at once
Checks units and scale of each band, the input after conversion and normalisation, masked and absent bands, and what
every layer says of a few images (NaN, constant). Exit 1 if something is wrong.
""",
    "geobench-make": """\
geobench-make: train or derive a model by a recipe of the foundry; leaves weights (safetensors) and a JSON card.

  geobench-make recipe=pretrain model=tiny_mae [out=weights] [device=cpu] [seed=0] ...
See geobench-list recipes for recipes and their settings.
""",
}

KEYS = (*(name for name in RunConfig.model_fields if name != "settings"), "config", "study")


def completion(shell: str) -> str:
    """Return a completion script for bash or zsh: keys, suites and protocols.

    Put it into a start-up file: ``eval "$(geobench-run completion bash)"``.
    """
    words = [f"{key}=" for key in KEYS] + [f"suite={name}" for name in suites.names()]
    words += [f"protocols={name}" for name in lookup.names("bench.protocols")] + ["models=all", "--dry", "--help"]
    script = f"""\
_geobench() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}"
  if [[ "$current" == "=" ]]; then current="${{COMP_WORDS[COMP_CWORD-1]}}="; fi
  if [[ "${{COMP_WORDS[COMP_CWORD-1]}}" == "=" ]]; then current="${{COMP_WORDS[COMP_CWORD-2]}}=$current"; fi
  COMPREPLY=( $(compgen -W "{" ".join(words)}" -- "$current") )
  if [[ "$current" == *=* ]]; then COMPREPLY=( "${{COMPREPLY[@]#*=}}" ); fi
}}
complete -o nospace -F _geobench geobench-run geobench-doctor
"""
    return ("autoload -U bashcompinit && bashcompinit\n" if shell == "zsh" else "") + script
