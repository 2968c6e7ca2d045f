// Fixed-point accumulator: adds a term of the register's weight, with saturation.
`default_nettype none
module dm_accumulate_fixed #(
    parameter ACCUMULATOR_BITS = 48 // width of the register
) (
    input  wire                             clk,
    input  wire                             en,
    input  wire                             clear,
    input  wire                             valid, // the group is finite; the register skips one that is not
    input  wire signed [ACCUMULATOR_BITS:0] term,
    input  wire                             out_of_reach, // the term is meaningless: saturate
    input  wire                             below_zero,   // and its sign
    input  wire [ACCUMULATOR_BITS-1:0]      previous, // what the group is added to: the register, or a neighbour's
    output reg  [ACCUMULATOR_BITS-1:0]      accumulator
);
    wire signed [ACCUMULATOR_BITS-1:0] kept  = clear ? {ACCUMULATOR_BITS{1'b0}} : previous;
    wire signed [ACCUMULATOR_BITS+1:0] total = {term[ACCUMULATOR_BITS], term} + {{2{kept[ACCUMULATOR_BITS-1]}}, kept};

    wire negative = out_of_reach ? below_zero : total[ACCUMULATOR_BITS+1];
    wire overflow = out_of_reach || total[ACCUMULATOR_BITS:ACCUMULATOR_BITS-1] != {2{total[ACCUMULATOR_BITS+1]}};

    always @(posedge clk)
        if (en) begin
            if (valid)
                accumulator <= overflow ? {negative, {(ACCUMULATOR_BITS-1){~negative}}} : total[ACCUMULATOR_BITS-1:0];
            else
                accumulator <= kept;
        end
endmodule
`default_nettype wire
