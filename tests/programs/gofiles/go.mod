module gofiles

go 1.21
