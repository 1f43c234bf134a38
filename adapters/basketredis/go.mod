module github.com/basket-go/basket/adapters/basketredis

go 1.26.0

require (
	github.com/basket-go/basket v0.0.0
	github.com/google/go-cmp v0.7.0
	github.com/redis/rueidis v1.0.79
)

require golang.org/x/sys v0.47.0 // indirect

replace github.com/basket-go/basket => ../..
