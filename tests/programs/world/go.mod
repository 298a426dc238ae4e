module world

go 1.21
