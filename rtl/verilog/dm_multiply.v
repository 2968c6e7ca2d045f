// Product of two integers.
`default_nettype none
module dm_multiply #(
    parameter A_BITS       = 5,  // width of the first; a multiplier has a row for every bit of the second
    parameter B_BITS       = 5,  // width of the second
    parameter PRODUCT_BITS = 10, // width of the product, which the values that occur never overflow
    parameter SIGNED       = 0   // 1: all three are two's complement; 0: none is
) (
    input  wire [A_BITS-1:0]       a,
    input  wire [B_BITS-1:0]       b,
    output wire [PRODUCT_BITS-1:0] product
);
    generate
        if (SIGNED != 0) begin : two_s_complement
            assign product = $signed(a) * $signed(b);
        end else begin : magnitude
            assign product = a * b;
        end
    endgenerate
endmodule
`default_nettype wire
