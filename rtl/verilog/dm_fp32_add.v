// binary32 addition to nearest even of magnitude fields and signs: the larger magnitude is kept in place, the smaller one
// aligned to it, so the difference never needs a negation. Infinities and NaN are the caller's.
`default_nettype none
module dm_fp32_add #(
    parameter FLUSH = 0 // 0: gradual underflow; 1: no subnormal operands, sums below 2^-126 before rounding become zero
) (
    input  wire        a_negative,
    input  wire [7:0]  a_exponent,
    input  wire [22:0] a_fraction,
    input  wire        a_discard, // take a for +0 whatever its fields; a_negative must then be 0
    input  wire        b_negative,
    input  wire [7:0]  b_exponent,
    input  wire [22:0] b_fraction,
    output wire        negative,
    output wire [7:0]  exponent,  // exponent and fraction fields; meaningless on overflow
    output wire [22:0] fraction,
    output wire        overflow
);
    // Subnormals share the exponent of field 1 but lack the hidden one. When flushed they do not occur, and the distance
    // to a zero operand does not matter.
    wire a_normal = |a_exponent;
    wire b_normal = |b_exponent;
    wire [23:0] a = {a_normal, a_fraction};
    wire [23:0] b = {b_normal, b_fraction};
    wire [7:0]  a_scale = {a_exponent[7:1], a_exponent[0] | (FLUSH == 0 && !a_normal)};
    wire [7:0]  b_scale = {b_exponent[7:1], b_exponent[0] | (FLUSH == 0 && !b_normal)};

    // difference = a_scale - b_scale - borrow; its sign compares the whole magnitudes. The distance of the scales is
    // difference + borrow, or -difference - borrow = ~difference + !borrow.
    wire        borrow;
    wire [23:0] unused_compared;
    assign {borrow, unused_compared} = {1'b0, a} - {1'b0, b};
    wire [8:0]  difference;
    wire        unused_difference;
    assign {difference, unused_difference} = {1'b0, a_scale, 1'b0} - {1'b0, b_scale, borrow};
    wire        b_larger = difference[8];
    wire [7:0]  distance;
    wire        unused_distance;
    assign {distance, unused_distance} = {difference[7:0] ^ {8{b_larger}}, b_larger ^ borrow} + 9'd1;

    wire        take_b  = b_larger | a_discard;
    wire [7:0]  scale   = take_b ? b_scale : a_scale;
    wire [23:0] larger  = take_b ? b : a;
    wire [23:0] smaller = take_b ? a : b;

    // 26 bits keep what the first two places shift out; below them only whether anything was lost matters.
    wire [25:0] shifted;
    wire        lost;
    dm_shift_right_sticky #(.BITS(26), .SHIFT_BITS(5)) align (
        .value({smaller, 2'b00}), .distance(distance[4:0]), .shifted(shifted), .lost(lost)
    );
    wire        far     = a_discard | (|distance[7:5]);
    wire [25:0] aligned = shifted & {26{~far}};
    wire        sticky  = ~a_discard & (far ? |smaller : lost);

    wire        subtract = a_negative ^ b_negative;
    wire [27:0] total;
    wire        unused_total;
    assign {total, unused_total} = {1'b0, larger, 3'b000, 1'b1} + {{1'b0, aligned, sticky} ^ {28{subtract}}, subtract};

    // A total of zero is +0, unless both operands are negative.
    assign negative = (take_b ? b_negative : a_negative) & ~(subtract & ~|total);

    // The total's top bit stands one place above the larger operand's. Gradual underflow stops the shift where the
    // exponent field would fall below 1.
    wire [27:0] normal;
    wire [4:0]  amount;
    wire [4:0]  limit = |scale[7:5] ? 5'd31 : scale[4:0];
    wire [8:0]  field = {1'b0, scale} - {4'b0, amount};
    dm_normalize #(.BITS(28), .LEADING_ZEROS(27), .LIMITED(FLUSH == 0)) normalize (
        .value(total), .limit(limit), .normal(normal), .amount(amount)
    );
    dm_fp32_pack #(.MAGNITUDE_BITS(28), .FIELD_BITS(9), .CAN_OVERFLOW(1)) pack (
        .magnitude(normal), .field(field), .keep(!(FLUSH != 0 && field[8])),
        .exponent(exponent), .fraction(fraction), .overflow(overflow)
    );
endmodule
`default_nettype wire
