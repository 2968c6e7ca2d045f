// Shifts right and tells whether a one was shifted out.
`default_nettype none
module dm_shift_right_sticky #(
    parameter BITS       = 26, // width of the value, more than any single step: 2^(SHIFT_BITS-1)
    parameter SHIFT_BITS = 5   // width of the distance
) (
    input  wire [BITS-1:0]       value,
    input  wire [SHIFT_BITS-1:0] distance,
    output wire [BITS-1:0]       shifted,
    output wire                  lost
);
    wire [BITS-1:0]     stage [SHIFT_BITS:0];
    wire [SHIFT_BITS:0] any_lost;
    assign stage[0]    = value;
    assign any_lost[0] = 1'b0;

    genvar k;
    generate
        for (k = 0; k < SHIFT_BITS; k = k + 1) begin : step
            assign stage[k+1]    = distance[k] ? stage[k] >> (1 << k) : stage[k];
            assign any_lost[k+1] = any_lost[k] | (distance[k] & |stage[k][(1 << k) - 1:0]);
        end
    endgenerate

    assign shifted = stage[SHIFT_BITS];
    assign lost    = any_lost[SHIFT_BITS];
endmodule
`default_nettype wire
