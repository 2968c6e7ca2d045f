// Code of the level that a magnitude has climbed to: that above the highest bound that it reaches.
`default_nettype none
module dm_encode_level #(
    parameter MAGNITUDE_BITS = 31, // width of the magnitude and of a bound
    parameter STEPS          = 8,  // bounds, at least 1
    parameter CODE_BITS      = 4,  // width of a code
    parameter [STEPS-1:0] INCLUSIVE = 0,            // for each bound, 1: a magnitude that equals it reaches it
    parameter [(STEPS+1)*CODE_BITS-1:0] CODES = 0   // of the levels, that below every bound in the low bits
) (
    input  wire [MAGNITUDE_BITS-1:0]       magnitude,
    input  wire [STEPS*MAGNITUDE_BITS-1:0] bounds, // the lowest in the low bits; who reaches one reaches all below it
    output wire [CODE_BITS-1:0]            code
);
    wire [STEPS+1:0] reached; // by level, and none above the last
    assign reached[0]       = 1'b1;
    assign reached[STEPS+1] = 1'b0;

    genvar k;
    generate
        for (k = 0; k < STEPS; k = k + 1) begin : step
            wire [MAGNITUDE_BITS-1:0] bound = bounds[k*MAGNITUDE_BITS +: MAGNITUDE_BITS];
            assign reached[k+1] = INCLUSIVE[k] ? magnitude >= bound : magnitude > bound;
        end
    endgenerate

    // One level alone is reached without the next: its code passes.
    wire [CODE_BITS-1:0] found [STEPS+1:0];
    assign found[0] = {CODE_BITS{1'b0}};
    generate
        for (k = 0; k <= STEPS; k = k + 1) begin : level
            assign found[k+1] = found[k] | (CODES[k*CODE_BITS +: CODE_BITS] & {CODE_BITS{reached[k] & ~reached[k+1]}});
        end
    endgenerate
    assign code = found[STEPS+1];
endmodule
`default_nettype wire
