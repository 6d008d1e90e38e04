"""iBUG landmarks of the topologies that other methods' meshes have, known by their number of vertices.

Ids alone are facts, read from what the sources below publish; none of these meshes lies here. A mesh is taken
for one of them only if the points lie as a face's landmarks do.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.faces.landmarks.ibug import NUMBER_OF_LANDMARKS
from lightning_modules.faces.landmarks.typical_places import mirrored_ids, misplaced


class Topology(NamedTuple):
    """A mesh that many files share.

    Attributes:
        name: of its model.
        ids: vertices by iBUG landmark (0-based), all 68 or some.
    """

    name: str
    ids: Mapping[int, int]


def topology_landmarks(vertices: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The landmarks [68, 3] of a mesh of a known topology, NaN where its list has none.

    Args:
        vertices: [V, 3] in any pose and unit.

    Returns:
        None where no topology has so many vertices, or the points do not lie as a face's landmarks do, be it
        mirrored: the mesh is another one, or its vertices were renumbered.
    """
    topology = TOPOLOGIES.get(len(vertices))
    if topology is None:
        return None
    points = np.full((NUMBER_OF_LANDMARKS, 3), np.nan)
    points[list(topology.ids)] = vertices[list(topology.ids.values())]
    for candidate in (points, points[mirrored_ids()]):
        if np.isfinite(candidate).all(1).sum() == len(topology.ids) and not misplaced(candidate):
            return candidate
    return None


def _all(*ids: int) -> Mapping[int, int]:
    return dict(enumerate(ids))


# fmt: off
# yunik1004/SAiD, data/FLAME_landmarks.txt.
_FLAME = Topology("FLAME", _all(
        2210, 1963, 3056, 3424, 3423, 3421, 3419, 3416, 3414, 3635, 3643, 3646, 3650, 3652, 2004, 568, 728,
        2567, 337, 338, 3154, 3712, 3868, 2135, 27, 18, 1430, 3560, 3561, 3501, 3564, 2751, 2793, 3556,
        1676, 1623, 2428, 2453, 2494, 3631, 2278, 2359, 3832, 1343, 1218, 1154, 995, 829, 2820, 2864, 2774,
        3543, 1657, 1749, 1703, 1774, 1802, 3503, 2905, 2881, 2845, 2787, 3531, 1670, 1730, 1804, 3504,
        2907,
))
# anilbas/BFMLandmarks, Landmarks68_BFM.anl.
_BASEL_2009 = Topology("Basel Face Model 2009", _all(
        22143, 22813, 22840, 23250, 44124, 45884, 47085, 47668, 48188, 48708, 49299, 50498, 52457, 32022,
        32386, 32359, 32979, 38886, 39636, 40030, 40238, 40433, 41172, 41368, 41578, 42011, 42646, 8291,
        8305, 8314, 8320, 6783, 7687, 8331, 8977, 9879, 1832, 3760, 5050, 6087, 4546, 3516, 10731, 11758,
        12919, 14859, 13191, 12157, 5523, 6155, 7442, 8345, 9506, 10799, 11199, 10179, 9277, 8374, 7471,
        6566, 5909, 7322, 8354, 9386, 10941, 9141, 8367, 7194,
))
# yfeng95/face3d, kpt_ind of the BFM.mat that it generates, as projects that build on it print it.
_BASEL_2009_FACE3D = Topology("Basel Face Model 2009 as in 3DDFA", _all(
        21873, 22149, 21653, 21036, 43236, 44918, 46166, 47135, 47914, 48695, 49667, 50924, 52613, 33678,
        33005, 32469, 32709, 38695, 39392, 39782, 39987, 40154, 40893, 41059, 41267, 41661, 42367, 8161,
        8177, 8187, 8192, 6515, 7243, 8204, 9163, 9883, 2215, 3886, 4920, 5828, 4801, 3640, 10455, 11353,
        12383, 14066, 12653, 11492, 5522, 6025, 7495, 8215, 8935, 10395, 10795, 9555, 8836, 8236, 7636,
        6915, 5909, 7384, 8223, 9064, 10537, 8829, 8229, 7629,
))
# The frontal part that Deep3DFaceReconstruction and its kin decode; renderer/face_model.py of
# xinwen-cs/AudioDVP, which lists them mirrored.
_BASEL_2009_FRONT = Topology("Basel Face Model 2009, frontal part", _all(
        16644, 16888, 16467, 16264, 32244, 32939, 33375, 33654, 33838, 34022, 34312, 34766, 35472, 27816,
        27608, 27208, 27440, 28111, 28787, 29177, 29382, 29549, 30288, 30454, 30662, 31056, 31716, 8161,
        8177, 8187, 8192, 6515, 7243, 8204, 9163, 9883, 2215, 3886, 4920, 5828, 4801, 3640, 10455, 11353,
        12383, 14066, 12653, 11492, 5522, 6025, 7495, 8215, 8935, 10395, 10795, 9555, 8836, 8236, 7636,
        6915, 5909, 7384, 8223, 9064, 10537, 8829, 8229, 7629,
))
# patrikhuber/eos, share/ibug_to_bfm2017-1_bfm_nomouth.txt.
_BASEL_2017 = Topology("Basel Face Model 2017", {
        8: 47846, 30: 8156, 36: 2602, 39: 5830, 42: 10390, 45: 13481, 48: 5522, 49: 6026, 50: 7355,
        51: 8181, 52: 9007, 53: 10329, 54: 10857, 55: 9730, 56: 8670, 57: 8199, 58: 7726, 59: 6898,
        60: 6291, 61: 7364, 62: 8190, 63: 9016, 64: 10088, 65: 8663, 66: 8191, 67: 7719,
})
# patrikhuber/eos, share/ibug_to_sfm.txt.
_SURREY = Topology("Surrey Face Model", {
        8: 33, 17: 225, 18: 229, 19: 233, 20: 2086, 21: 157, 22: 590, 23: 2091, 24: 666, 25: 662, 26: 658,
        27: 2842, 28: 379, 29: 272, 30: 114, 31: 100, 32: 2794, 33: 270, 34: 2797, 35: 537, 36: 177,
        37: 172, 38: 191, 39: 181, 40: 173, 41: 174, 42: 614, 43: 624, 44: 605, 45: 610, 46: 607, 47: 606,
        48: 398, 49: 315, 50: 413, 51: 329, 52: 825, 53: 736, 54: 812, 55: 841, 56: 693, 57: 411, 58: 264,
        59: 431, 61: 416, 62: 423, 63: 828, 65: 817, 66: 442, 67: 404,
})
# README of ICT-VGL/ICT-FaceKit, its jaw line in place of the contour, which runs over the cheeks (with it the
# jaw lies within 10 mm of where a face has it, with the contour within 19). The face comes first, so that its
# parts keep the ids.
_ICT = Topology("ICT-FaceKit", _all(
        1278, 1272, 12, 1834, 243, 781, 2199, 1447, 966, 3661, 4390, 3022, 2484, 4036, 2253, 3490, 3496,
        268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147,
        4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695,
        2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517,
        5966,
))
# fmt: on

TOPOLOGIES: Mapping[int, Topology] = {
    5_023: _FLAME,
    53_490: _BASEL_2009,
    53_215: _BASEL_2009_FACE3D,
    35_709: _BASEL_2009_FRONT,
    53_149: _BASEL_2017,
    3_448: _SURREY,
    26_719: _ICT,
    14_062: _ICT,
    11_248: _ICT,
    9_409: _ICT,
}
