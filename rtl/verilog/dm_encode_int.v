// Code of the integer to which a number rounds, saturating.
`default_nettype none
module dm_encode_int #(
    parameter SIGNIFICAND_BITS = 24, // width of the number's significand
    parameter EXPONENT_BITS    = 10, // signed width of its exponent
    parameter BITS             = 8,  // width of the code
    parameter ENCODING         = 0,  // 0: two's complement; 1: sign and magnitude; 2: offset, least code 0; 3: unsigned
    parameter SYMMETRIC        = 0,  // 1: the most negative code is never produced
    parameter ROUNDING         = 0   // as in dm_round_significand
) (
    input  wire                            negative,
    input  wire [SIGNIFICAND_BITS-1:0]     significand, // as dm_round_significand takes them; exponent 0 is that of the
    input  wire signed [EXPONENT_BITS-1:0] exponent,    // magnitude's top bit
    output wire [BITS-1:0]                 code
);
    localparam MAGNITUDE_BITS = ENCODING == 3 ? BITS : BITS - 1;
    // An integer is a float without exponent fields: what reaches one is too large.
    localparam ROUNDED_BITS   = EXPONENT_BITS + MAGNITUDE_BITS - 1;
    localparam WIDE_BITS      = ROUNDED_BITS > BITS ? ROUNDED_BITS : BITS + 1;
    localparam LARGEST        = (1 << MAGNITUDE_BITS) - 1;
    localparam BELOW_ZERO     = ENCODING == 3 ? 0 : ENCODING == 1 || SYMMETRIC != 0 ? LARGEST : LARGEST + 1;

    wire [ROUNDED_BITS-1:0] rounded;
    dm_round_significand #(
        .SIGNIFICAND_BITS(SIGNIFICAND_BITS), .KEPT_BITS(MAGNITUDE_BITS), .EXPONENT_BITS(EXPONENT_BITS),
        .ROUNDING(ROUNDING)
    ) round (.negative(negative), .significand(significand), .exponent(exponent), .code(rounded));

    wire [WIDE_BITS-1:0] wide      = {{(WIDE_BITS-ROUNDED_BITS){1'b0}}, rounded};
    wire [WIDE_BITS-1:0] limit     = negative ? BELOW_ZERO[WIDE_BITS-1:0] : LARGEST[WIDE_BITS-1:0];
    wire [WIDE_BITS-1:0] clamped   = wide > limit ? limit : wide;
    wire [BITS-1:0]      magnitude = clamped[BITS-1:0];
    wire                 unused    = &clamped; // its bits above the limit

    generate
        if (ENCODING == 1) begin : sign_magnitude
            wire unused_top = magnitude[BITS-1];
            assign code = {negative, magnitude[BITS-2:0]};
        end else if (ENCODING == 3) begin : unsigned_integer
            assign code = magnitude;
        end else begin : signed_integer
            // The appended low bit turns the sign into the carry of one adder: (magnitude ^ sign) + sign.
            wire [BITS-1:0] integer_code;
            wire            unused_carry;
            assign {integer_code, unused_carry} = {magnitude ^ {BITS{negative}}, negative} + {{BITS{1'b0}}, 1'b1};
            assign code = integer_code ^ {ENCODING == 2, {(BITS-1){1'b0}}};
        end
    endgenerate
endmodule
`default_nettype wire
