// binary32 accumulator: adds a group that was already rounded to binary32, to nearest even.
`default_nettype none
module dm_accumulate_fp32 #(
    parameter FLUSH = 0 // 0: gradual underflow; 1: sums below 2^-126 before rounding become zero
) (
    input  wire        clk,
    input  wire        en,
    input  wire        clear,
    input  wire        negative,
    input  wire [7:0]  exponent, // fields of the group's magnitude; ignored where infinite or nan is set
    input  wire [22:0] fraction,
    input  wire        infinite,
    input  wire        nan,
    input  wire [31:0] previous, // what the group is added to: the register, or a neighbour's
    output reg  [31:0] accumulator
);
    wire old_special  = &previous[30:23] & ~clear;
    wire old_infinite = old_special & ~|previous[22:0];
    wire old_negative = previous[31] & ~clear;

    wire        sum_negative, overflow;
    wire [7:0]  sum_exponent;
    wire [22:0] sum_fraction;
    dm_fp32_add #(.FLUSH(FLUSH)) add (
        .a_negative(old_negative), .a_exponent(previous[30:23]), .a_fraction(previous[22:0]), .a_discard(clear),
        .b_negative(negative), .b_exponent(exponent), .b_fraction(fraction),
        .negative(sum_negative), .exponent(sum_exponent), .fraction(sum_fraction), .overflow(overflow)
    );

    wire not_a_number = nan | (old_special & ~old_infinite) | (old_infinite & infinite & (old_negative ^ negative));
    // An infinity keeps its own sign; an overflow has the sum's.
    wire special_negative = old_infinite ? old_negative : infinite ? negative : sum_negative;

    always @(posedge clk)
        if (en) begin
            if (not_a_number) accumulator <= 32'h7FC00000;
            else if (old_infinite | infinite | overflow) accumulator <= {special_negative, 8'hFF, 23'h0};
            else accumulator <= {sum_negative, sum_exponent, sum_fraction};
        end
endmodule
`default_nettype wire
