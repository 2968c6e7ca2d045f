// What NaN and Inf products make of a group: NaN wins, then Inf; +Inf with -Inf is NaN.
`default_nettype none
module dm_specials #(
    parameter LANES = 16 // products in the group
) (
    input  wire [LANES-1:0] a_nan,
    input  wire [LANES-1:0] a_infinite,
    input  wire [LANES-1:0] a_zero,
    input  wire [LANES-1:0] b_nan,
    input  wire [LANES-1:0] b_infinite,
    input  wire [LANES-1:0] b_zero,
    input  wire [LANES-1:0] negative,  // signs of the products
    input  wire             scale_nan, // a block scale is NaN
    output wire             nan,
    output wire             infinite,  // may be set beside nan
    output wire             infinite_negative
);
    wire [LANES-1:0] product_infinite = a_infinite | b_infinite;

    assign nan = scale_nan || |(a_nan | b_nan | (a_infinite & b_zero) | (a_zero & b_infinite))
               || |(product_infinite & negative) && |(product_infinite & ~negative);
    assign infinite = |product_infinite;
    assign infinite_negative = |(product_infinite & negative);
endmodule
`default_nettype wire
