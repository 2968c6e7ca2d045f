// Shifts left until the top bit is set, by at most `limit` places: a binary search from the largest step down, which
// counts the leading zeros while it removes them.
`default_nettype none
module dm_normalize #(
    parameter BITS          = 28, // width of the value
    parameter LEADING_ZEROS = 27, // most leading zeros that a value other than zero has, at least 1
    parameter LIMITED       = 1   // 1: obey `limit`; 0: ignore it
) (
    input  wire [BITS-1:0]                    value,
    input  wire [$clog2(LEADING_ZEROS+1)-1:0] limit,  // all ones: no limit
    output wire [BITS-1:0]                    normal,
    output wire [$clog2(LEADING_ZEROS+1)-1:0] amount  // places shifted; all ones or the limit for a value of zero
);
    localparam SHIFT_BITS = $clog2(LEADING_ZEROS + 1);

    wire [BITS-1:0]     stage [SHIFT_BITS:0];
    wire [SHIFT_BITS:0] unlimited; // an earlier step could have been taken but was not needed: what is left fits
    assign stage[SHIFT_BITS] = value;
    assign unlimited[SHIFT_BITS] = LIMITED == 0;

    genvar k;
    generate
        for (k = SHIFT_BITS - 1; k >= 0; k = k - 1) begin : step
            wire zeros = ~|stage[k+1][BITS-1 -: 1 << k];
            assign amount[k]    = zeros & (unlimited[k+1] | limit[k]);
            assign unlimited[k] = unlimited[k+1] | (limit[k] & ~zeros);
            assign stage[k]     = amount[k] ? stage[k+1] << (1 << k) : stage[k+1];
        end
    endgenerate

    wire unused = unlimited[0];
    assign normal = stage[0];
endmodule
`default_nettype wire
