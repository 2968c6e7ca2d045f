// Product of two magnitudes as a fixed-point integer: the significands are multiplied, then shifted by their exponents.
`default_nettype none
module dm_product #(
    parameter A_BITS          = 5,  // width of the first significand; a multiplier has a row for every bit of the second
    parameter B_BITS          = 5,  // width of the second significand
    parameter A_EXPONENT_BITS = 1,  // width of the first exponent
    parameter B_EXPONENT_BITS = 1,  // width of the second exponent
    parameter DROP            = 0,  // shifted products lose this many low bits: zeros, or what lies below the window
    parameter PRODUCT_BITS    = 10  // width of the largest product that remains
) (
    input  wire [A_BITS-1:0]          a,
    input  wire [B_BITS-1:0]          b,
    input  wire [A_EXPONENT_BITS-1:0] a_exponent,
    input  wire [B_EXPONENT_BITS-1:0] b_exponent,
    output wire [PRODUCT_BITS-1:0]    magnitude
);
    // Every bit above the largest product is zero, so no more need be computed.
    localparam WIDE_BITS = PRODUCT_BITS + DROP;
    // Two elements as small as E2M1 are so few inputs that each product bit is one look-up table, unless the carry chains
    // of a multiplier or an adder stand in between.
    localparam TINY = A_BITS + B_BITS <= 4 && A_EXPONENT_BITS + B_EXPONENT_BITS <= 4;

    wire [WIDE_BITS-1:0] wide;
    generate
        if (TINY) begin : look_up
            reg [WIDE_BITS-1:0] significand, aligned;
            integer i;
            always @* begin
                significand = 0;
                for (i = 0; i < (1 << (A_BITS + B_BITS)); i = i + 1)
                    if ({a, b} == i[A_BITS+B_BITS-1:0])
                        significand = i[B_BITS +: A_BITS] * i[B_BITS-1:0];
                // In one expression, Verilator 5.48 adds the exponents without the carry.
                aligned = significand << a_exponent;
                aligned = aligned << b_exponent;
            end
            assign wide = aligned;
        end else begin : multiply
            wire [A_BITS+B_BITS-1:0] significand;
            dm_multiply #(.A_BITS(A_BITS), .B_BITS(B_BITS), .PRODUCT_BITS(A_BITS + B_BITS)) multiplier (
                .a(a), .b(b), .product(significand)
            );
            dm_align #(
                .MAGNITUDE_BITS(A_BITS + B_BITS), .A_EXPONENT_BITS(A_EXPONENT_BITS), .B_EXPONENT_BITS(B_EXPONENT_BITS),
                .ALIGNED_BITS(WIDE_BITS)
            ) aligner (.magnitude(significand), .a_exponent(a_exponent), .b_exponent(b_exponent), .aligned(wide));
        end
    endgenerate

    wire unused = &wide; // its bits below the window
    assign magnitude = wide[WIDE_BITS-1:DROP];
endmodule
`default_nettype wire
