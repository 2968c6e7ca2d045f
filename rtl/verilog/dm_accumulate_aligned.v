// Aligned accumulator: a significand and an exponent. The operand with the smaller exponent is shifted right, truncating
// toward minus infinity; a sum that overflows is halved.
`default_nettype none
module dm_accumulate_aligned #(
    parameter SUM_BITS         = 15, // signed width of the sum of a group
    parameter CODE_BITS        = 9,  // width of the exponent code of the sum
    parameter SIGNIFICAND_BITS = 24, // signed width of the register's significand; holds the sum with guard bits below
    parameter EXPONENT_BITS    = 10  // width of the register's exponent, wider than the code: increments never wrap
) (
    input  wire                        clk,
    input  wire                        en,
    input  wire                        clear,
    input  wire                        valid, // the group is finite; the register skips one that is not
    input  wire signed [SUM_BITS-1:0]  sum,
    input  wire [CODE_BITS-1:0]        exponent_code,
    input  wire [EXPONENT_BITS+SIGNIFICAND_BITS-1:0] previous, // what the group is added to: the register, or a neighbour's
    output wire [EXPONENT_BITS+SIGNIFICAND_BITS-1:0] accumulator
);
    localparam GUARD_BITS    = SIGNIFICAND_BITS - SUM_BITS;
    localparam NEAR_BITS     = $clog2(SIGNIFICAND_BITS); // a shift that needs more bits leaves only the sign
    localparam DISTANCE_BITS = EXPONENT_BITS > NEAR_BITS ? EXPONENT_BITS : NEAR_BITS + 1;

    reg        [EXPONENT_BITS-1:0]    exponent;
    reg signed [SIGNIFICAND_BITS-1:0] significand;

    wire        [EXPONENT_BITS-1:0]    previous_exponent = previous[SIGNIFICAND_BITS +: EXPONENT_BITS];
    wire signed [SIGNIFICAND_BITS-1:0] previous_significand = previous[SIGNIFICAND_BITS-1:0];

    wire signed [SIGNIFICAND_BITS-1:0] group = {sum, {GUARD_BITS{1'b0}}};
    wire [EXPONENT_BITS-1:0]           group_exponent = {{(EXPONENT_BITS-CODE_BITS){1'b0}}, exponent_code};

    wire [EXPONENT_BITS:0]   difference = {1'b0, previous_exponent} - {1'b0, group_exponent};
    wire                     behind     = difference[EXPONENT_BITS]; // the previous sum has the smaller exponent
    wire [DISTANCE_BITS-1:0] distance;
    wire                     unused;
    assign {distance, unused} = {difference[EXPONENT_BITS-1:0] ^ {EXPONENT_BITS{behind}}, behind}
        + {{DISTANCE_BITS{1'b0}}, 1'b1};

    wire group_larger = behind | clear;
    wire signed [SIGNIFICAND_BITS-1:0] larger  = group_larger ? group : previous_significand;
    wire signed [SIGNIFICAND_BITS-1:0] smaller = group_larger ? previous_significand : group;
    wire signed [SIGNIFICAND_BITS-1:0] shifted = smaller >>> distance[NEAR_BITS-1:0];

    // A cleared sum counts as zero: nothing but its sign, which is then plus.
    wire far  = clear | (|distance[DISTANCE_BITS-1:NEAR_BITS]);
    wire fill = smaller[SIGNIFICAND_BITS-1] & ~clear;
    wire signed [SIGNIFICAND_BITS-1:0] aligned = far ? {SIGNIFICAND_BITS{fill}} : shifted;

    wire signed [SIGNIFICAND_BITS:0] total    = larger + aligned;
    wire                             overflow = total[SIGNIFICAND_BITS] ^ total[SIGNIFICAND_BITS-1];

    always @(posedge clk)
        if (en) begin
            if (valid) begin
                significand <= overflow ? total[SIGNIFICAND_BITS:1] : total[SIGNIFICAND_BITS-1:0];
                exponent    <= (group_larger ? group_exponent : previous_exponent) + overflow;
            end else begin
                significand <= clear ? {SIGNIFICAND_BITS{1'b0}} : previous_significand;
                exponent    <= clear ? {EXPONENT_BITS{1'b0}} : previous_exponent;
            end
        end

    assign accumulator = {exponent, significand};
endmodule
`default_nettype wire
