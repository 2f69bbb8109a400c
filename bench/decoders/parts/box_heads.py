"""The heads of torchvision's detectors on four maps of equal width, see `bench.decoders.parts.boxes.Head`."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

from bench.decoders.parts.anchors import STRIDES, Anchors, anchor_scales
from bench.decoders.parts.boxes import BOXES, SCORE, Boxes
from bench.decoders.parts.norms import group_norm, with_group_norm

RATIOS = (0.5, 1.0, 2.0)
START = 3.0  # initial distance in cells from a point to each side of its box (FCOS); maps are for boxes of 0 to 8 cells
HIDDEN = 4  # width of the two linear layers over a region of interest, as a multiple of the width of the maps


class TwoStage(nn.Module):
    """Faster R-CNN: a region proposal network, then classes and boxes of 7 x 7 cells pooled from each proposal.

    It takes fewer proposals than by default in torchvision, whose defaults are for photographs of 800 pixels.

    Args:
        classes: K.
        width: number of channels of the maps.
        side: shorter side of the image in the frame.
    """

    def __init__(self, classes: int, width: int, side: float) -> None:
        super().__init__()
        # Scales are about half an octave apart, so that every size is close to one of them.
        scales = anchor_scales(side)
        step = (scales[1] / scales[0]) ** 0.5
        anchors = Anchors([(scale, scale * step) for scale in scales], RATIOS)
        self.proposals = RegionProposalNetwork(
            anchors,
            RPNHead(width, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 500, "testing": 500},
            post_nms_top_n={"training": 300, "testing": 300},
            nms_thresh=0.7,
        )
        pool = MultiScaleRoIAlign([str(i) for i in range(len(STRIDES))], output_size=7, sampling_ratio=2)
        # Otherwise torchvision would infer both from the sizes of the first batch.
        pool.scales = [1 / stride for stride in STRIDES]
        pool.map_levels = initLevelMapper(2, 5)
        self.regions = RoIHeads(
            pool,
            TwoMLPHead(width * 49, HIDDEN * width),
            FastRCNNPredictor(HIDDEN * width, classes + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=128,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=SCORE,
            nms_thresh=0.5,
            detections_per_img=BOXES,
        )

    def forward(
        self, maps: OrderedDict[str, Tensor], images: ImageList, targets: list[Boxes] | None
    ) -> dict[str, Tensor] | list[Boxes]:
        """Return losses in training mode, else boxes; labels start at 1 in torchvision, where 0 is the background."""
        shifted = targets and [{**target, "labels": target["labels"] + 1} for target in targets]
        proposals, proposal_losses = self.proposals(images, maps, shifted)
        detections, region_losses = self.regions(maps, proposals, images.image_sizes, shifted)
        if self.training:
            return {**proposal_losses, **region_losses}
        return [{**detected, "labels": detected["labels"] - 1} for detected in detections]


class OneStage(nn.Module):
    """RetinaNet or FCOS on maps: torchvision's head, matching, losses and suppression, without its backbone.

    Args:
        network: ``RetinaNet`` or ``FCOS``; only its head has parameters.
    """

    def __init__(self, network: RetinaNet | FCOS) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, maps: OrderedDict[str, Tensor], images: ImageList, targets: list[Boxes] | None
    ) -> dict[str, Tensor] | list[Boxes]:
        """Return losses in training mode, else boxes."""
        grids = list(maps.values())
        predicted = self.network.head(grids)
        anchors = self.network.anchor_generator(images, grids)
        per_cell = self.network.anchor_generator.num_anchors_per_location()
        counts = [count * grid.shape[-2] * grid.shape[-1] for count, grid in zip(per_cell, grids, strict=True)]
        if self.training:
            more = (counts,) if isinstance(self.network, FCOS) else ()
            losses: dict[str, Tensor] = self.network.compute_loss(targets, predicted, anchors, *more)
            return losses
        by_level = {name: list(value.split(counts, 1)) for name, value in predicted.items()}
        anchors_by_level = [list(of_image.split(counts)) for of_image in anchors]
        detections: list[Boxes] = self.network.postprocess_detections(by_level, anchors_by_level, images.image_sizes)
        return detections


def _no_backbone(width: int) -> nn.Module:
    """Return an identity that torchvision accepts as a backbone of `width` channels."""
    backbone = nn.Identity()
    backbone.out_channels = width  # type: ignore[assignment]
    return backbone


def retinanet(classes: int, width: int, side: float) -> OneStage:
    """Return RetinaNet's head: nine anchors per cell, focal loss, and group norm between its convolutions.

    Args:
        classes: K.
        width: number of channels of the maps.
        side: shorter side of the image in the frame.
    """
    scales = anchor_scales(side)
    step = scales[1] / scales[0]
    anchors = Anchors([[scale * step ** (i / 3) for i in range(3)] for scale in scales], RATIOS)
    head = RetinaNetHead(width, anchors.num_anchors_per_location()[0], classes, norm_layer=group_norm)
    return OneStage(
        RetinaNet(
            _no_backbone(width),
            classes,
            anchor_generator=anchors,
            head=head,
            score_thresh=SCORE,
            detections_per_img=BOXES,
        )
    )


def fcos(classes: int, width: int) -> OneStage:
    """Return FCOS's head: one point per cell and no anchors.

    Args:
        classes: K.
        width: number of channels of the maps, a multiple of 32.
    """
    points = Anchors([[stride] for stride in STRIDES], (1.0,))
    head = with_group_norm(FCOSHead(width, 1, classes))
    # torchvision starts from boxes without extent; for half of them the ReLU that follows passes no gradient.
    nn.init.constant_(head.regression_head.bbox_reg.bias, START)
    return OneStage(
        FCOS(
            _no_backbone(width),
            classes,
            anchor_generator=points,
            head=head,
            score_thresh=SCORE,
            detections_per_img=BOXES,
        )
    )
