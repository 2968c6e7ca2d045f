// All steps of a normaliser but the last: shifts left until at most one leading zero remains, and takes the places off an
// exponent code. The code is first raised by the most that the shift can be, which keeps it from falling below zero.
`default_nettype none
module dm_normalize_coarse #(
    parameter BITS             = 28, // width of the value
    parameter LEADING_ZEROS    = 27, // most leading zeros that a value other than zero has, at least 2
    parameter CODE_BITS        = 9,  // width of the exponent code
    parameter NORMAL_CODE_BITS = 10  // width that holds the largest code plus the largest shift
) (
    input  wire [BITS-1:0]             value,
    input  wire [CODE_BITS-1:0]        code,
    output wire [BITS-1:0]             normal,
    output wire [NORMAL_CODE_BITS-1:0] normal_code // code + 2^$clog2(LEADING_ZEROS+1) - 2 - places shifted
);
    localparam SHIFT_BITS = $clog2(LEADING_ZEROS + 1);

    wire [BITS-1:0]       stage [SHIFT_BITS:1];
    wire [SHIFT_BITS-1:1] amount;
    assign stage[SHIFT_BITS] = value;

    genvar k;
    generate
        for (k = SHIFT_BITS - 1; k >= 1; k = k - 1) begin : step
            assign amount[k] = ~|stage[k+1][BITS-1 -: 1 << k];
            assign stage[k]  = amount[k] ? stage[k+1] << (1 << k) : stage[k+1];
        end
    endgenerate

    assign normal      = stage[1];
    assign normal_code = {{(NORMAL_CODE_BITS-CODE_BITS){1'b0}}, code}
                       + {{(NORMAL_CODE_BITS-SHIFT_BITS){1'b0}}, ~amount, 1'b0};
endmodule
`default_nettype wire
