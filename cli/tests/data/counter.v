// A small clocked design: a counter that can be loaded, held and reset, with a comparator whose
// output is registered.
module counter #(parameter WIDTH = 8) (
    input wire clock,
    input wire reset,
    input wire enable,
    input wire load,
    input wire [WIDTH-1:0] value,
    output reg [WIDTH-1:0] count,
    output reg top
);
    wire [WIDTH-1:0] next = load ? value : count + 1'b1;

    always @(posedge clock) begin
        if (reset)
            count <= 0;
        else if (enable)
            count <= next;
        top <= &count;
    end
endmodule
