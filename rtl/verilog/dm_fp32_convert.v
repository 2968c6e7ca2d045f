// magnitude * 2^(exponent_code + EXPONENT_OFFSET) as binary32 fields, rounded to nearest even.
`default_nettype none
module dm_fp32_convert #(
    parameter MAGNITUDE_BITS  = 14,   // width of the magnitude
    parameter LEADING_ZEROS   = 13,   // most leading zeros that a magnitude other than zero has, at least 1
    parameter CODE_BITS       = 9,    // width of the exponent code
    parameter CODE_MIN        = 0,    // smallest code that occurs with a magnitude other than zero
    parameter CODE_MAX        = 510,  // largest code
    parameter EXPONENT_OFFSET = -264, // code 0 gives the magnitude's lowest bit this exponent
    parameter FLUSH           = 0     // 0: subnormal results; 1: results below 2^-126 before rounding become zero
) (
    input  wire [MAGNITUDE_BITS-1:0] magnitude,
    input  wire [CODE_BITS-1:0]      exponent_code,
    output wire [7:0]                exponent, // exponent and fraction fields; meaningless on overflow
    output wire [22:0]               fraction,
    output wire                      overflow
);
    localparam SHIFT_BITS = $clog2(LEADING_ZEROS + 1);
    // The biased exponent of the magnitude's top bit, minus one, is code + BASE; normalising takes leading zeros off it.
    localparam BASE         = EXPONENT_OFFSET + MAGNITUDE_BITS - 1 + 127 - 1;
    localparam FIELD_MIN    = BASE + CODE_MIN - LEADING_ZEROS;
    localparam FIELD_MAX    = BASE + CODE_MAX;
    localparam BASE_SIZE    = BASE < 0 ? -BASE : BASE;
    localparam FIELD_BITS   = $clog2(BASE_SIZE + CODE_MAX + (1 << SHIFT_BITS) + 128) + 1; // every step, a sign, 9 bits
    localparam CAN_OVERFLOW = FIELD_MAX + 2 >= 255; // packing adds the top bit and a carry out of the fraction
    // 24 bits of significand and one to round.
    localparam PADDED_BITS  = MAGNITUDE_BITS < 25 ? 25 : MAGNITUDE_BITS;
    localparam [FIELD_BITS-1:0] OFFSET = BASE[FIELD_BITS-1:0];

    wire [MAGNITUDE_BITS-1:0] normal;
    wire [SHIFT_BITS-1:0]     amount;
    dm_normalize #(
        .BITS(MAGNITUDE_BITS), .LEADING_ZEROS(LEADING_ZEROS), .LIMITED(0)
    ) normalize (.value(magnitude), .limit({SHIFT_BITS{1'b1}}), .normal(normal), .amount(amount));

    wire [FIELD_BITS-1:0]  code   = {{(FIELD_BITS-CODE_BITS){1'b0}}, exponent_code};
    wire [FIELD_BITS-1:0]  field  = code + OFFSET - {{(FIELD_BITS-SHIFT_BITS){1'b0}}, amount};
    wire                   below  = FIELD_MIN < 0 && field[FIELD_BITS-1]; // smaller than any normal number
    wire [PADDED_BITS-1:0] padded = {normal, {(PADDED_BITS-MAGNITUDE_BITS){1'b0}}};

    generate
        if (FLUSH != 0 || FIELD_MIN >= 0) begin : direct
            dm_fp32_pack #(.MAGNITUDE_BITS(PADDED_BITS), .FIELD_BITS(FIELD_BITS), .CAN_OVERFLOW(CAN_OVERFLOW)) pack (
                .magnitude(padded), .field(field), .keep(~below),
                .exponent(exponent), .fraction(fraction), .overflow(overflow)
            );
        end else begin : gradual
            // Subnormal: shift right by -field = ~field + 1 places, the one first. Beyond 31 nothing is left to round.
            wire [4:0]             places = ~field[4:0] & {5{below}};
            wire                   gone   = below & ~&field[FIELD_BITS-2:5];
            wire [PADDED_BITS:0]   first  = below ? {1'b0, padded} : {padded, 1'b0};
            wire [PADDED_BITS+1:0] shifted;
            dm_shift_right_sticky #(.BITS(PADDED_BITS + 1), .SHIFT_BITS(5)) denormalize (
                .value(first), .distance(places), .shifted(shifted[PADDED_BITS+1:1]), .lost(shifted[0])
            );
            dm_fp32_pack #(
                .MAGNITUDE_BITS(PADDED_BITS + 2), .FIELD_BITS(FIELD_BITS), .CAN_OVERFLOW(CAN_OVERFLOW)
            ) pack (
                .magnitude(shifted), .field(field), .keep(~gone),
                .exponent(exponent), .fraction(fraction), .overflow(overflow)
            );
        end
    endgenerate
endmodule
`default_nettype wire
