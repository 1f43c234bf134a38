package basketredis_test

import (
	"testing"

	"github.com/basket-go/basket/adapters/basketredis"
	"github.com/basket-go/basket/baskettest"
	"github.com/redis/rueidis"
)

// deployments are the kinds of Redis that the stores are tested with.
var deployments = []struct {
	name   string
	client func(t *testing.T) rueidis.Client
}{
	{"single", func(t *testing.T) rueidis.Client { return newSingle(t) }},
	{"cluster", func(t *testing.T) rueidis.Client {
		return newClient(t, rueidis.ClientOption{InitAddress: startCluster(t)})
	}},
	{"sentinel", func(t *testing.T) rueidis.Client {
		return newClient(t, rueidis.ClientOption{InitAddress: []string{startSentinel(t)}, Sentinel: rueidis.SentinelOption{MasterSet: "basket"}})
	}},
}

func TestStore(t *testing.T) {
	for _, d := range deployments {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			client := d.client(t)
			baskettest.TestStore(t, func(t *testing.T) baskettest.Store {
				s, err := basketredis.NewStore(client, basketredis.WithPrefix(unique()))
				if err != nil {
					t.Fatal(err)
				}
				return s
			})
		})
	}
}
