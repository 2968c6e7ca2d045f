// Takes the sums of a column at once and hands them out one a cycle, the last row's first.
`default_nettype none
module dm_drain #(
    parameter ROWS = 4, // sums of the column
    parameter BITS = 32 // width of a sum
) (
    input  wire                 clk,
    input  wire                 en,
    input  wire                 copy,  // take the sums at this edge; else move on by one
    input  wire [ROWS*BITS-1:0] sums,
    output wire [BITS-1:0]      result,
    output wire                 valid  // a sum that was copied stands at `result`
);
    reg [ROWS*BITS-1:0] words;
    reg [ROWS-1:0]      full;

    always @(posedge clk)
        if (en) begin
            words <= copy ? sums : words << BITS;
            full  <= copy ? {ROWS{1'b1}} : full << 1;
        end

    assign result = words[ROWS*BITS-1 -: BITS];
    assign valid  = full[ROWS-1];
endmodule
`default_nettype wire
