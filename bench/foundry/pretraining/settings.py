"""Settings of the pretraining recipe and of its three methods."""

from __future__ import annotations

from pydantic import Field

from bench.config import Settings


class MAESettings(Settings):
    """How a masked autoencoder is trained.

    Attributes:
        epochs: passes over the pool.
        batch: images per step.
        hidden: share of patches hidden.
        decoder_width: channels of the decoder, which is thrown away afterwards; a multiple of 4 and of its heads.
        decoder_depth: its blocks.
    """

    epochs: int = Field(default=25, ge=1)
    batch: int = Field(default=64, ge=2)
    hidden: float = Field(default=0.75, gt=0, lt=1)
    decoder_width: int = Field(default=64, ge=4)
    decoder_depth: int = Field(default=2, ge=1)


class DINOSettings(Settings):
    """How a student and its teacher are trained.

    Attributes:
        epochs: passes over the pool.
        batch: images per step.
        global_size: side in pixels of the two global views, which student and teacher see.
        global_area: smallest and largest share of the image they cover.
        local_views: number of small views, which the student alone sees.
        local_size: side of a local view in pixels.
        local_area: share of the image a local view covers.
        gain: see `bench.foundry.pretraining.views.recoloured`.
        offset: likewise.
        noise: likewise.
        prototypes: K, length of the outputs that are compared.
        student_temperature: tau_s.
        teacher_temperature: tau_t.
        momentum: of the teacher at the start; rises to 1 along a cosine.
        centre_momentum: of the running mean that is taken off the teacher's outputs.
    """

    epochs: int = Field(default=8, ge=1)
    batch: int = Field(default=32, ge=2)
    global_size: int = Field(default=48, ge=8)
    global_area: tuple[float, float] = (0.5, 1.0)
    local_views: int = Field(default=4, ge=0)
    local_size: int = Field(default=24, ge=8)
    local_area: tuple[float, float] = (0.1, 0.4)
    gain: float = Field(default=0.3, ge=0)
    offset: float = Field(default=0.5, ge=0)
    noise: float = Field(default=0.2, ge=0)
    prototypes: int = Field(default=512, ge=2)
    student_temperature: float = Field(default=0.1, gt=0)
    teacher_temperature: float = Field(default=0.04, gt=0)
    momentum: float = Field(default=0.99, ge=0, le=1)
    centre_momentum: float = Field(default=0.9, ge=0, le=1)


class CROMASettings(Settings):
    """How the encoders of CROMA are trained.

    Attributes:
        epochs: passes over the pool.
        batch: images per step.
        hidden: share of patches hidden, in each sensor on its own.
        temperature: of the contrast.
        decoder_width: channels of the decoder, which is thrown away afterwards; a multiple of 4 and of its heads.
        decoder_depth: its blocks.
    """

    epochs: int = Field(default=20, ge=1)
    batch: int = Field(default=64, ge=2)
    hidden: float = Field(default=0.75, gt=0, lt=1)
    temperature: float = Field(default=0.1, gt=0)
    decoder_width: int = Field(default=64, ge=4)
    decoder_depth: int = Field(default=1, ge=1)


class PretrainSettings(Settings):
    """Settings of pretraining: entry, images and method.

    Attributes:
        model: the entry whose network is trained.
        suite: where the images come from.
        task: the name they are opened by; targets are not looked at.
        split: split of that task.
        images: how many images of the split, evenly spaced; 0 for all.
        epochs: passes over the images; 0 for the method's own number.
        batch: images a step, 0 for the method's own; what is left over at the end of an epoch waits for the next.
        seed: of the init, the order of the images and their views.
        learning_rate: of AdamW at its highest, after the warm-up; then a cosine down to 0.
        warmup: share of the steps in which the learning rate rises.
        weight_decay: on matrices; biases, norms and tokens have none.
        clip: largest norm of the gradient.
        mae: of the reconstruction.
        dino: of the joint embedding.
        croma: of the multimodal objective.
    """

    model: str
    suite: str = "demo"
    task: str = "unlabelled"
    split: str = "train"
    images: int = Field(default=0, ge=0)
    epochs: int = Field(default=0, ge=0)
    batch: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.1, ge=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
    clip: float = Field(default=3.0, gt=0)
    mae: MAESettings = MAESettings()
    dino: DINOSettings = DINOSettings()
    croma: CROMASettings = CROMASettings()
