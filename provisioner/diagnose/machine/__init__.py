"""The layers of `doctor`: from the GPU on the bus to a kernel that ran."""
