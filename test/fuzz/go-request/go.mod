module podpass/go-request

go 1.24
