// Magnitude code of a floating-point element to significand, exponent and special flags.
`default_nettype none
module dm_decode_float #(
    parameter EXPONENT_BITS = 4, // width of the exponent field
    parameter MANTISSA_BITS = 3, // width of the stored mantissa field
    parameter HIDDEN_BIT    = 1, // 1: normal numbers have a hidden one; 0: the mantissa is the whole significand
    parameter SUBNORMALS    = 1, // with a hidden bit, exponent field 0 holds 1: subnormals, 0: zeros only
    parameter SPECIALS      = 0  // 0: none; 1: the top exponent field is Inf or NaN; 2: the all-ones code is NaN
) (
    input  wire [EXPONENT_BITS+MANTISSA_BITS-1:0] code,
    output wire [MANTISSA_BITS+HIDDEN_BIT-1:0]    significand,
    output wire [EXPONENT_BITS-1:0]               exponent, // subnormals share the exponent of field 1
    output wire                                   nan,
    output wire                                   infinite
);
    wire [EXPONENT_BITS-1:0] field = code[EXPONENT_BITS+MANTISSA_BITS-1:MANTISSA_BITS];
    // One bit wider than the field, so that an element without mantissa bits has one, always zero.
    wire [MANTISSA_BITS:0] mantissa;

    generate
        if (MANTISSA_BITS == 0) begin : power_of_two
            assign mantissa = 1'b0;
        end else begin : stored
            assign mantissa = {1'b0, code[MANTISSA_BITS-1:0]};
        end

        if (HIDDEN_BIT == 0) begin : raw
            wire unused = mantissa[MANTISSA_BITS];
            assign significand = mantissa[MANTISSA_BITS-1:0];
            assign exponent = field;
        end else begin : hidden
            wire normal = |field;
            assign significand = (SUBNORMALS != 0 || normal) ? mantissa | ({{MANTISSA_BITS{1'b0}}, normal} << MANTISSA_BITS)
                                                             : {(MANTISSA_BITS+1){1'b0}};
            assign exponent = field | {{(EXPONENT_BITS-1){1'b0}}, ~normal};
        end
    endgenerate

    assign nan      = SPECIALS == 1 ? &field && mantissa != 0 : SPECIALS == 2 && &code;
    assign infinite = SPECIALS == 1 && &field && mantissa == 0;
endmodule
`default_nettype wire
