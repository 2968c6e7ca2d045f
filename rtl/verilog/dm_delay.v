// Delays a word by a fixed number of cycles.
`default_nettype none
module dm_delay #(
    parameter BITS   = 8, // width of the word
    parameter CYCLES = 1  // 0: a wire
) (
    input  wire            clk,
    input  wire            en,
    input  wire [BITS-1:0] now,
    output wire [BITS-1:0] later
);
    generate
        if (CYCLES == 0) begin : pass
            wire unused = clk & en;
            assign later = now;
        end else begin : registers
            reg  [BITS-1:0] word;
            wire [BITS-1:0] sooner;
            dm_delay #(.BITS(BITS), .CYCLES(CYCLES - 1)) shorter (.clk(clk), .en(en), .now(now), .later(sooner));
            always @(posedge clk) if (en) word <= sooner;
            assign later = word;
        end
    endgenerate
endmodule
`default_nettype wire
