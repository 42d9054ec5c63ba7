module sample-agent

go 1.24

require caxton v0.0.0

replace caxton => ../../../sdk/go
