// Integer accumulator: adds the sum of a group in units of the smallest product.
`default_nettype none
module dm_accumulate_int #(
    parameter SUM_BITS         = 20, // signed width of the sum of a group
    parameter ACCUMULATOR_BITS = 32, // width of the register
    parameter SATURATE         = 0   // on overflow, 0: wraps; 1: clamps to the nearest end of the range
) (
    input  wire                         clk,
    input  wire                         en,
    input  wire                         clear,
    input  wire                         valid, // the group is finite; the register skips one that is not
    input  wire signed [SUM_BITS-1:0]   sum,
    input  wire [ACCUMULATOR_BITS-1:0]  previous, // what the group is added to: the register, or a neighbour's
    output reg  [ACCUMULATOR_BITS-1:0]  accumulator
);
    // The true total needs one bit more than the wider addend; wrapping needs only the register's bits.
    localparam WIDER_BITS = SUM_BITS > ACCUMULATOR_BITS ? SUM_BITS : ACCUMULATOR_BITS;
    localparam TOTAL_BITS = SATURATE != 0 ? WIDER_BITS + 1 : ACCUMULATOR_BITS;

    wire [ACCUMULATOR_BITS-1:0] kept          = clear ? {ACCUMULATOR_BITS{1'b0}} : previous;
    wire [WIDER_BITS:0]         wide_sum  = {{(WIDER_BITS+1-SUM_BITS){sum[SUM_BITS-1]}}, sum};
    wire [WIDER_BITS:0]         wide_kept = {{(WIDER_BITS+1-ACCUMULATOR_BITS){kept[ACCUMULATOR_BITS-1]}}, kept};
    wire [TOTAL_BITS-1:0]       total     = wide_sum[TOTAL_BITS-1:0] + wide_kept[TOTAL_BITS-1:0];
    wire                        unused    = &{wide_sum, wide_kept}; // their bits above the total
    wire [ACCUMULATOR_BITS-1:0] next;

    generate
        if (SATURATE != 0) begin : saturate
            dm_clamp #(.BITS(TOTAL_BITS), .CLAMPED_BITS(ACCUMULATOR_BITS)) clamp (.value(total), .clamped(next));
        end else begin : wrap
            assign next = total;
        end
    endgenerate

    always @(posedge clk)
        if (en) begin
            if (valid) accumulator <= next;
            else accumulator <= kept;
        end
endmodule
`default_nettype wire
