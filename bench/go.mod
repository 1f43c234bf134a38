module github.com/basket-go/basket/bench

go 1.26.0

replace github.com/basket-go/basket => ..

replace github.com/basket-go/basket/adapters/basketkafka => ../adapters/basketkafka

replace github.com/basket-go/basket/adapters/basketredis => ../adapters/basketredis

require (
	github.com/basket-go/basket v0.0.0
	github.com/dmitryikh/leaves v0.0.0-20230708180554-25d19a787328
	github.com/redis/rueidis v1.0.79
	github.com/twmb/franz-go v1.22.2
	github.com/twmb/franz-go/pkg/kadm v1.19.0
)

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.0 // indirect
)

require (
	github.com/andybalholm/brotli v1.1.1 // indirect
	github.com/basket-go/basket/adapters/basketkafka v0.0.0
	github.com/basket-go/basket/adapters/basketredis v0.0.0
	github.com/golang/snappy v1.0.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/parquet-go/bitpack v1.0.0 // indirect
	github.com/parquet-go/jsonlite v1.0.0 // indirect
	github.com/parquet-go/parquet-go v0.32.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/twpayne/go-geom v1.6.1 // indirect
	golang.org/x/sys v0.47.0 // indirect
	google.golang.org/protobuf v1.34.2 // indirect
)
