// Adder tree over products in sign and magnitude.
//
// A node adds or subtracts its right half by the relative sign of the halves and hands the sign of its left half on, so
// that negation costs no adder: the tree's value is (negative ? -sum : sum). RESOLVE negates the leftmost product
// instead, which is narrower than the sum, and `negative` stays 0.
`default_nettype none
module dm_sum_sign_magnitude #(
    parameter LANES          = 16, // products to add
    parameter MAGNITUDE_BITS = 10, // width of one product's magnitude
    parameter SUM_BITS       = 15, // signed width that no sum of that many products overflows
    parameter RESOLVE        = 1   // 1: plain signed sum; 0: the sum keeps a sign of its own
) (
    input  wire [LANES-1:0]                product_negative,
    input  wire [LANES*MAGNITUDE_BITS-1:0] product,
    output wire                            negative,
    output wire signed [SUM_BITS-1:0]      sum
);
    localparam LEFT  = (LANES + 1) / 2;
    localparam RIGHT = LANES - LEFT;
    // n products below 2^MAGNITUDE_BITS need clog2(n) more bits and a sign.
    localparam LEFT_BITS  = MAGNITUDE_BITS + $clog2(LEFT) + 1;
    localparam RIGHT_BITS = MAGNITUDE_BITS + $clog2(RIGHT) + 1;

    generate
        if (LANES == 1 && RESOLVE != 0) begin : resolved
            dm_add_subtract #(.A_BITS(1), .B_BITS(MAGNITUDE_BITS + 1), .SUM_BITS(SUM_BITS)) negate (
                .a(1'b0), .b({1'b0, product}), .subtract(product_negative), .sum(sum)
            );
            assign negative = 1'b0;
        end else if (LANES == 1) begin : leaf
            assign negative = product_negative;
            assign sum = {1'b0, product};
        end else begin : node
            wire                         left_negative, right_negative;
            wire signed [LEFT_BITS-1:0]  left;
            wire signed [RIGHT_BITS-1:0] right;

            dm_sum_sign_magnitude #(
                .LANES(LEFT), .MAGNITUDE_BITS(MAGNITUDE_BITS), .SUM_BITS(LEFT_BITS), .RESOLVE(RESOLVE)
            ) left_half (
                .product_negative(product_negative[LEFT-1:0]), .product(product[LEFT*MAGNITUDE_BITS-1:0]),
                .negative(left_negative), .sum(left)
            );
            dm_sum_sign_magnitude #(
                .LANES(RIGHT), .MAGNITUDE_BITS(MAGNITUDE_BITS), .SUM_BITS(RIGHT_BITS), .RESOLVE(0)
            ) right_half (
                .product_negative(product_negative[LANES-1:LEFT]),
                .product(product[LANES*MAGNITUDE_BITS-1:LEFT*MAGNITUDE_BITS]),
                .negative(right_negative), .sum(right)
            );

            dm_add_subtract #(.A_BITS(LEFT_BITS), .B_BITS(RIGHT_BITS), .SUM_BITS(SUM_BITS)) adder (
                .a(left), .b(right), .subtract(left_negative ^ right_negative), .sum(sum)
            );
            assign negative = left_negative;
        end
    endgenerate
endmodule
`default_nettype wire
