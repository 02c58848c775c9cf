"""The squash to a square as an ONNX graph: what `mlic.images.squash` does, to the bit, for images of any size."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["OPSET", "square_model", "unbranched_square_model"]

OPSET = 18

# Lines come first, so that those of a place lie together: rows, images, channels, the other direction. All names of a
# pass end in its axis, since the two stand in one graph. See `mlic.squares.taps` for the arithmetic, which is done in
# the same order, in doubles: another order would round otherwise now and then.
_PASS = """
    size_f_AXIS = Cast<to=11>(size_AXIS)
    scale_AXIS = Div(size_f_AXIS, side_f)
    support_AXIS = Max(scale_AXIS, one_f)
    slope_AXIS = Div(one_f, support_AXIS)
    reach_f_AXIS = Ceil(support_AXIS)
    reach_AXIS = Cast<to=7>(reach_f_AXIS)
    reach2_AXIS = Add(reach_AXIS, reach_AXIS)
    most_AXIS = Add(reach2_AXIS, one)
    centre_AXIS = Mul(scale_AXIS, middles)
    low_AXIS = Sub(centre_AXIS, support_AXIS)
    low_half_AXIS = Add(low_AXIS, half_f)
    low_i_AXIS = Cast<to=7>(low_half_AXIS)
    first_AXIS = Max(low_i_AXIS, zero)
    high_AXIS = Add(centre_AXIS, support_AXIS)
    high_half_AXIS = Add(high_AXIS, half_f)
    high_i_AXIS = Cast<to=7>(high_half_AXIS)
    last_AXIS = Min(high_i_AXIS, size_AXIS)
    count_AXIS = Sub(last_AXIS, first_AXIS)
    most_0_AXIS = Squeeze(most_AXIS)
    places_AXIS = Range(zero_0, most_0_AXIS, one_0)
    place_AXIS = Unsqueeze(places_AXIS, one)
    where_AXIS = Add(place_AXIS, first_AXIS)
    where_f_AXIS = Cast<to=11>(where_AXIS)
    off_AXIS = Sub(where_f_AXIS, centre_AXIS)
    off_half_AXIS = Add(off_AXIS, half_f)
    distance_AXIS = Mul(off_half_AXIS, slope_AXIS)
    away_AXIS = Abs(distance_AXIS)
    near_AXIS = Sub(one_f, away_AXIS)
    share_AXIS = Max(near_AXIS, zero_f)
    counts_AXIS = Less(place_AXIS, count_AXIS)
    taken_AXIS = Where(counts_AXIS, share_AXIS, zero_f)
    sums_AXIS = CumSum(taken_AXIS, zero_0)
    total_AXIS = Gather<axis=0>(sums_AXIS, minus_one)
    shares_AXIS = Div(taken_AXIS, total_AXIS)
    largest_AXIS = ReduceMax<keepdims=0>(shares_AXIS)
    scaled_AXIS = Mul(largest_AXIS, powers)
    scaled_half_AXIS = Add(scaled_AXIS, half_f)
    scaled_i_AXIS = Cast<to=7>(scaled_half_AXIS)
    fits_AXIS = Less(scaled_i_AXIS, too_large)
    fits_i_AXIS = Cast<to=7>(fits_AXIS)
    bits_AXIS = ReduceSum<keepdims=1>(fits_i_AXIS)
    before_AXIS = Sub(bits_AXIS, one)
    factor_f_AXIS = Gather<axis=0>(powers, before_AXIS)
    factor_AXIS = Cast<to=6>(factor_f_AXIS)
    rounding_AXIS = Div(factor_AXIS, two_i)
    weights_f_AXIS = Mul(shares_AXIS, factor_f_AXIS)
    weights_half_AXIS = Add(weights_f_AXIS, half_f)
    weights_AXIS = Cast<to=6>(weights_half_AXIS)
    end_AXIS = Sub(size_AXIS, one)
    shape_AXIS = Shape<start=1>(lines_AXIS)
    summed_shape_AXIS = Concat<axis=0>(side, shape_AXIS)
    begin_AXIS = Expand(rounding_AXIS, summed_shape_AXIS)
    sum_AXIS = Loop(most_0_AXIS, yes, begin_AXIS)<body = tap_AXIS
        (int64 number_AXIS, bool go_AXIS, int32[a_AXIS, b_AXIS, c_AXIS, d_AXIS] so_far_AXIS)
        => (bool on_AXIS, int32[a_AXIS, b_AXIS, c_AXIS, d_AXIS] with_it_AXIS) {
        on_AXIS = Identity(go_AXIS)
        next_AXIS = Add(first_AXIS, number_AXIS)
        index_AXIS = Min(next_AXIS, end_AXIS)
        line_AXIS = Gather<axis=0>(lines_AXIS, index_AXIS)
        line_i_AXIS = Cast<to=6>(line_AXIS)
        weight_AXIS = Gather<axis=0>(weights_AXIS, number_AXIS)
        column_AXIS = Reshape(weight_AXIS, column_shape)
        part_AXIS = Mul(line_i_AXIS, column_AXIS)
        with_it_AXIS = Add(so_far_AXIS, part_AXIS)
    }>
    quotient_AXIS = Div(sum_AXIS, factor_AXIS)
    clipped_AXIS = Min(quotient_AXIS, white)
    level_AXIS = Cast<to=2>(clipped_AXIS)
"""
_GRAPH = """
<ir_version: 8, opset_import: ["" : OPSET]>
square (uint8[batch, 3, height, width] images) => (uint8[batch, 3, SIDE, SIDE] square)
<int64[1] side, double side_f, double[SIDE] middles, double[22] powers, int64[4] column_shape,
 int64[1] zero = {0}, int64[1] one = {1}, int64 zero_0 = {0}, int64 one_0 = {1}, int64 minus_one = {-1},
 double zero_f = {0}, double half_f = {0.5}, double one_f = {1},
 int32 two_i = {2}, int32 white = {255}, int64 too_large = {32768}, bool yes = {1}, int64[4] square_shape>
{
    size_h = Shape<start=2, end=3>(images)
    size_w = Shape<start=3, end=4>(images)
    RESIZED
    square = Reshape(resized, square_shape)
}
"""

_BRANCHES = """
    wide_enough = Equal(size_w, side)
    high_enough = Equal(size_h, side)
    both = And(wide_enough, high_enough)
    resized = If(both)<then_branch = as_it_is () => (uint8[b, ch, h, w] same) { same = Identity(images) },
    else_branch = squeezed () => (uint8[b, ch, h, w] other) {
        rows = If(wide_enough)<then_branch = no_wider () => (uint8[h, b, ch, w] rows_same) {
            rows_same = Transpose<perm=[2, 0, 1, 3]>(images)
        }, else_branch = wider () => (uint8[h, b, ch, w] rows_other) {
            lines_w = Transpose<perm=[3, 0, 1, 2]>(images)
            PASS_W
            rows_other = Transpose<perm=[3, 1, 2, 0]>(level_w)
        }>
        columns = If(high_enough)<then_branch = no_higher () => (uint8[h, b, ch, w] columns_same) {
            columns_same = Identity(rows)
        }, else_branch = higher () => (uint8[h, b, ch, w] columns_other) {
            lines_h = Identity(rows)
            PASS_H
            columns_other = Identity(level_h)
        }>
        other = Transpose<perm=[1, 2, 0, 3]>(columns)
    }>
"""
_NO_BRANCHES = """
    lines_w = Transpose<perm=[3, 0, 1, 2]>(images)
    PASS_W
    lines_h = Transpose<perm=[3, 1, 2, 0]>(level_w)
    PASS_H
    resized = Transpose<perm=[1, 2, 0, 3]>(level_h)
"""


def square_model(side: int) -> "onnx.ModelProto":
    """Returns an ONNX model from `images`, uint8 [batch, 3, height, width], to `square`, uint8 [batch, 3, side, side].

    It equals `mlic.images.squash` to the bit, and hands on what is a square of that side already. ONNX's own `Resize`
    with antialiasing differs from it at one pixel in a hundred, by up to 14 grey levels (ONNX Runtime 1.32, 500 by 375
    pixels to 299), and takes a quarter of the time or less.

    Args:
        side: of the square, in pixels, at least 1.
    """
    return _model(side, _BRANCHES)


def unbranched_square_model(side: int) -> "onnx.ModelProto":
    """Returns the same, but a square of that side already is resized too, which changes nothing but the time.

    For OpenVINO: 2026.4 hands on uninitialised memory at the first call, if the branch is taken that does nothing.

    Args:
        side: of the square, in pixels, at least 1.
    """
    return _model(side, _NO_BRANCHES)


def _model(side: int, resized: str) -> "onnx.ModelProto":
    import onnx
    from onnx import numpy_helper, parser

    passes = {f"PASS_{axis.upper()}": _PASS.replace("AXIS", axis) for axis in ("w", "h")}
    text = _GRAPH
    for word, by in {"RESIZED": resized, **passes, "OPSET": str(OPSET), "SIDE": str(side)}.items():
        text = text.replace(word, by)
    model = parser.parse_model(text)
    arrays = {
        "side": np.array([side], np.int64),
        "side_f": np.array([side], np.float64),
        "middles": np.arange(side) + 0.5,
        "powers": 2.0 ** np.arange(1, 23),
        "column_shape": np.array([side, 1, 1, 1], np.int64),
        "square_shape": np.array([0, 3, side, side], np.int64),
    }
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    onnx.checker.check_model(model)
    return model
