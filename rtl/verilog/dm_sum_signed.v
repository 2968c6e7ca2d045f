// Adder tree over two's complement products; each level is one bit wider than the one before.
`default_nettype none
module dm_sum_signed #(
    parameter LANES        = 16, // products to add
    parameter PRODUCT_BITS = 16, // signed width of one product
    parameter SUM_BITS     = 20  // signed width that no sum of that many products overflows
) (
    input  wire [LANES*PRODUCT_BITS-1:0] product,
    output wire signed [SUM_BITS-1:0]    sum
);
    localparam LEFT  = (LANES + 1) / 2;
    localparam RIGHT = LANES - LEFT;
    localparam LEFT_BITS  = PRODUCT_BITS + $clog2(LEFT);
    localparam RIGHT_BITS = PRODUCT_BITS + $clog2(RIGHT);

    generate
        if (LANES == 1) begin : leaf
            wire signed [PRODUCT_BITS-1:0] only = product;
            assign sum = only;
        end else begin : node
            wire signed [LEFT_BITS-1:0]  left;
            wire signed [RIGHT_BITS-1:0] right;

            dm_sum_signed #(.LANES(LEFT), .PRODUCT_BITS(PRODUCT_BITS), .SUM_BITS(LEFT_BITS)) left_half (
                .product(product[LEFT*PRODUCT_BITS-1:0]), .sum(left)
            );
            dm_sum_signed #(.LANES(RIGHT), .PRODUCT_BITS(PRODUCT_BITS), .SUM_BITS(RIGHT_BITS)) right_half (
                .product(product[LANES*PRODUCT_BITS-1:LEFT*PRODUCT_BITS]), .sum(right)
            );

            assign sum = left + right;
        end
    endgenerate
endmodule
`default_nettype wire
