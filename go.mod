module github.com/basket-go/basket

go 1.26
