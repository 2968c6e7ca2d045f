// Code of the floating-point element to which a number rounds; what is too large saturates, or becomes Inf or NaN.
`default_nettype none
module dm_encode_float #(
    parameter SIGNIFICAND_BITS   = 24, // width of the number's significand
    parameter EXPONENT_BITS      = 10, // signed width of its exponent
    parameter CODE_EXPONENT_BITS = 4,  // width of the element's exponent field
    parameter MANTISSA_BITS      = 3,  // width of its stored mantissa field
    parameter HIDDEN_BIT         = 1,  // 1: normal codes have a hidden one; 0: the mantissa is the whole significand
    parameter SUBNORMALS         = 1,  // with a hidden bit, exponent field 0 holds 1: subnormals, 0: zeros only
    parameter SPECIALS           = 0,  // 0: none; 1: the top field is Inf or NaN; 2: all ones is NaN; 3: minus zero is NaN
    parameter OVERFLOW           = 0,  // what is beyond the largest number becomes 0: that number, 1: Inf, or else NaN
    parameter ROUNDING           = 0   // as in dm_round_significand
) (
    input  wire                            negative,
    input  wire [SIGNIFICAND_BITS-1:0]     significand, // as dm_round_significand takes them; exponent 0 is that of
    input  wire signed [EXPONENT_BITS-1:0] exponent,    // field 1, without a hidden bit that below field 0
    input  wire                            infinite,    // the number stands for Inf: no rounding keeps it from overflow
    input  wire                            nan,
    output wire [CODE_EXPONENT_BITS+MANTISSA_BITS:0] code
);
    localparam MAGNITUDE_BITS = CODE_EXPONENT_BITS + MANTISSA_BITS;
    // Without a hidden bit the leading one is stored, and a number of the smallest field may lack it.
    localparam KEPT_BITS    = MANTISSA_BITS + (HIDDEN_BIT != 0 ? 1 : 0);
    localparam ROUNDED_BITS = EXPONENT_BITS + KEPT_BITS - 1;
    localparam FIELDS       = (1 << CODE_EXPONENT_BITS) - (SPECIALS == 1 ? 1 : 0) + (HIDDEN_BIT == 0 ? 1 : 0);
    localparam LARGEST      = (FIELDS << (KEPT_BITS - 1)) - 1 - (SPECIALS == 2 ? 1 : 0);
    localparam WIDE_BITS    = ROUNDED_BITS > MAGNITUDE_BITS ? ROUNDED_BITS + 1 : MAGNITUDE_BITS + 1;
    localparam SATURATES    = ROUNDING == 3 || ROUNDING == 4; // 4 only where the number is not negative

    wire [ROUNDED_BITS-1:0] rounded;
    dm_round_significand #(
        .SIGNIFICAND_BITS(SIGNIFICAND_BITS), .KEPT_BITS(KEPT_BITS), .EXPONENT_BITS(EXPONENT_BITS), .ROUNDING(ROUNDING)
    ) round (.negative(negative), .significand(significand), .exponent(exponent), .code(rounded));

    wire [WIDE_BITS-1:0] wide      = {{(WIDE_BITS-ROUNDED_BITS){1'b0}}, rounded};
    wire [WIDE_BITS-1:0] largest   = {{(WIDE_BITS-MAGNITUDE_BITS){1'b0}}, LARGEST[MAGNITUDE_BITS-1:0]};
    wire                 too_large = wide > largest;
    wire                 special   = OVERFLOW != 0 && too_large
                                     && (infinite || !SATURATES || (ROUNDING == 4 && negative));
    wire [WIDE_BITS-1:0] clamped   = too_large ? largest : wide;

    wire [MAGNITUDE_BITS-1:0] finite;
    generate
        if (HIDDEN_BIT == 0) begin : raw
            // Fields above 0 move down by one, and their leading one becomes the mantissa's top bit.
            localparam [MANTISSA_BITS-1:0] TOP = 1 << (MANTISSA_BITS - 1);
            wire [CODE_EXPONENT_BITS:0] field = clamped[MAGNITUDE_BITS-1:MANTISSA_BITS-1];
            wire                        one   = |field;
            wire [CODE_EXPONENT_BITS:0] lower = field - {{CODE_EXPONENT_BITS{1'b0}}, one};
            wire                        unused = &{lower, clamped};
            assign finite = {lower[CODE_EXPONENT_BITS-1:0], (clamped[MANTISSA_BITS-1:0] & ~TOP) | (TOP & {MANTISSA_BITS{one}})};
        end else begin : hidden
            wire normal = |clamped[MAGNITUDE_BITS-1:MANTISSA_BITS];
            wire unused = &clamped;
            assign finite = clamped[MAGNITUDE_BITS-1:0] & {MAGNITUDE_BITS{SUBNORMALS != 0 || normal}};
        end
    endgenerate

    localparam INFINITY = FIELDS << MANTISSA_BITS;
    localparam [MAGNITUDE_BITS-1:0] NAN = SPECIALS == 1 ? INFINITY | (1 << MANTISSA_BITS) >> 1
                                        : SPECIALS == 2 ? {MAGNITUDE_BITS{1'b1}} : {MAGNITUDE_BITS{1'b0}};
    wire not_a_number = nan | (special && SPECIALS != 1);
    wire [MAGNITUDE_BITS-1:0] magnitude = not_a_number ? NAN : special ? INFINITY[MAGNITUDE_BITS-1:0] : finite;
    // Where minus zero is the NaN, zero has no sign.
    wire sign = SPECIALS == 3 ? not_a_number | (negative & |magnitude) : negative;
    assign code = {sign, magnitude};
endmodule
`default_nettype wire
