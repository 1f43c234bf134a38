package basketpg_test

import (
	"testing"

	"github.com/basket-go/basket/baskettest"
)

// TestStore runs the suite in each of pgx's modes, of which poolers need some.
func TestStore(t *testing.T) {
	s := newServer(t)
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			pool := s.pool(t, "&default_query_exec_mode="+mode)
			baskettest.TestStore(t, func(t *testing.T) baskettest.Store { return newStore(t, pool) })
		})
	}
}
