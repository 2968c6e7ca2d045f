// Two's complement code to sign and magnitude.
`default_nettype none
module dm_decode_twos_complement #(
    parameter BITS = 8 // width of the code; the magnitude is as wide, for 2^(BITS-1) is the most negative code's
) (
    input  wire [BITS-1:0] code,
    output wire            negative,
    output wire [BITS-1:0] significand
);
    assign negative = code[BITS-1];
    // The appended low bit turns the sign into the carry of one adder: (code ^ sign) + sign.
    wire unused;
    assign {significand, unused} = {code ^ {BITS{negative}}, negative} + {{BITS{1'b0}}, 1'b1};
endmodule
`default_nettype wire
