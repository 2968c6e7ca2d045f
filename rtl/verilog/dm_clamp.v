// Clamps a signed integer to a narrower signed range.
`default_nettype none
module dm_clamp #(
    parameter BITS         = 34, // signed width of the value
    parameter CLAMPED_BITS = 32  // signed width it is clamped to, narrower
) (
    input  wire [BITS-1:0]         value,
    output wire [CLAMPED_BITS-1:0] clamped
);
    wire negative = value[BITS-1];
    // In range, every bit from the clamped sign upwards equals the sign.
    wire overflow = value[BITS-2:CLAMPED_BITS-1] != {(BITS-CLAMPED_BITS){negative}};

    assign clamped = overflow ? {negative, {(CLAMPED_BITS-1){~negative}}} : value[CLAMPED_BITS-1:0];
endmodule
`default_nettype wire
