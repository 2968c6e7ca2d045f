// Largest of several unsigned integers: a tree of comparisons.
`default_nettype none
module dm_maximum #(
    parameter LANES = 16, // integers to compare
    parameter BITS  = 9   // width of each
) (
    input  wire [LANES*BITS-1:0] value,
    output wire [BITS-1:0]       largest
);
    localparam LEFT  = (LANES + 1) / 2;
    localparam RIGHT = LANES - LEFT;

    generate
        if (LANES == 1) begin : leaf
            assign largest = value;
        end else begin : node
            wire [BITS-1:0] left, right;
            dm_maximum #(.LANES(LEFT), .BITS(BITS)) left_half (.value(value[LEFT*BITS-1:0]), .largest(left));
            dm_maximum #(.LANES(RIGHT), .BITS(BITS)) right_half (
                .value(value[LANES*BITS-1:LEFT*BITS]), .largest(right)
            );
            assign largest = left > right ? left : right;
        end
    endgenerate
endmodule
`default_nettype wire
